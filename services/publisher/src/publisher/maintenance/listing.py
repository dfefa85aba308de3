"""What a listing shows, image by image (docs/bucket-protocol.md#decide-by-a-fresh-look).

A listing names objects in any order, and there may be millions. The first few thousand images are held in memory. If
there are more, all are kept in a file, so that memory does not grow with the bucket. Requests are answered in a pause
after every batch.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

from common import jobs
from common.errors import JobFault, StorageFault
from common.images.names import ImageKey, image_name_of, is_original
from common.storage.base import Entry

_BATCH = 1_000  # objects of a listing, or images read back
_HELD = 5_000  # images in memory
_PAUSE = 0.005  # seconds; about as long as a batch takes

T = TypeVar("T")

# Of each key only what follows the name is kept.
_SCHEMA = """
    CREATE TABLE image (
        name TEXT PRIMARY KEY, age REAL NOT NULL, extension TEXT NOT NULL, original_age REAL NOT NULL,
        endings TEXT NOT NULL
    ) WITHOUT ROWID
"""
_ADD = """
    INSERT INTO image VALUES (?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET age = min(age, excluded.age), endings = endings || ' ' || excluded.endings,
    extension = CASE WHEN excluded.extension <> '' THEN excluded.extension ELSE extension END,
    original_age = CASE WHEN excluded.extension <> '' THEN excluded.original_age ELSE original_age END
"""
_READ = f"SELECT * FROM image WHERE name > ? ORDER BY name LIMIT {_BATCH}"  # noqa: S608 - a constant


@dataclass
class ListedImage:
    """What a listing showed of one image. `age` is that of its youngest object, in seconds."""

    name: str
    age: float
    original: ImageKey | None = None
    original_age: float = 0.0
    others: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        return str(self.original or self.name)

    @property
    def keys(self) -> set[str]:
        """All that was listed."""
        return self.others if self.original is None else {*self.others, str(self.original)}

    def add(self, entry: Entry) -> None:
        """Add one of its objects. Of two originals of one name, the one that is listed last counts."""
        self.age = min(self.age, entry.age)
        if is_original(entry.key):
            self.original, self.original_age = ImageKey.parse(entry.key), entry.age
        else:
            self.others.add(entry.key)


async def list_images(entries: AsyncIterator[Entry], temporary: Path) -> AsyncGenerator[ListedImage, None]:
    """The listed images, one after another; `temporary` is the folder for the file. Raises StorageFault."""
    try:
        async with AsyncExitStack() as stack:
            kept: _ListingIndex | None = None
            held: dict[str, ListedImage] = {}
            async for entry in with_pauses(entries):
                name = image_name_of(entry.key)
                if name is None:
                    continue
                held.setdefault(name, ListedImage(name, entry.age)).add(entry)
                if len(held) == _HELD:
                    if kept is None:
                        kept = await stack.enter_async_context(_ListingIndex.open(temporary))
                    await kept.add(held)
                    held = {}
            if kept is None:
                for found in held.values():
                    yield found
                return
            await kept.add(held)
            async for found in with_pauses(kept.images()):
                yield found
    except JobFault as fault:
        raise StorageFault(str(fault)) from fault


async def with_pauses(items: AsyncIterator[T]) -> AsyncIterator[T]:
    """The same items, with a pause after every batch, so that no request waits for a whole listing."""
    count = 0
    async for item in items:
        yield item
        count += 1
        if count % _BATCH == 0:
            await asyncio.sleep(_PAUSE)


class _Row(NamedTuple):
    """A row of the table. `extension` is empty for an image without an original."""

    name: str
    age: float
    extension: str
    original_age: float
    endings: str


class _ListingIndex(jobs.TemporaryIndex):
    """Images that a listing has shown something of."""

    schema = _SCHEMA

    async def add(self, images: dict[str, ListedImage]) -> None:
        """Add what was seen of these images to what is known of them."""
        await self._run_for_each(_ADD, map(_row, images.values()))

    async def images(self) -> AsyncGenerator[ListedImage, None]:
        """All of them by their names."""
        last = ""
        while rows := await self._fetch_rows(_Row, _READ, last):
            for row in rows:
                yield _image_from_row(row)
            last = rows[-1].name


def _row(image: ListedImage) -> _Row:
    endings = " ".join(key.removeprefix(image.name) for key in image.others)
    extension = "" if image.original is None else image.original.extension
    return _Row(image.name, image.age, extension, image.original_age, endings)


def _image_from_row(row: _Row) -> ListedImage:
    original = ImageKey(row.name, row.extension) if row.extension else None
    others = {f"{row.name}{ending}" for ending in row.endings.split()}
    return ListedImage(row.name, row.age, original, row.original_age, others)
