"""What there is to do, in a file of its own that goes with the process: half a million images in constant memory.

The names come from the v5 database, what is done of them from the checkpoint, and what was deleted since from the
tombstones.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

from common.errors import JobFault
from common.images.names import BadName, Format, ImageKey
from common.temporary import temporary_file
from migrator.database import Row

_PAGE = 5_000  # images
_SCHEMA = """
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    CREATE TABLE image (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, filename TEXT, svg INTEGER NOT NULL, other TEXT
    );
    CREATE TABLE done (name TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE deleted (name TEXT PRIMARY KEY) WITHOUT ROWID;
"""
# A name is taken once, by its smallest id. Rows come in the order of their ids.
_ADD = """
    INSERT INTO image (id, name, filename, svg) VALUES (?, ?, ?, ?)
    ON CONFLICT (name) DO UPDATE SET svg = max(svg, excluded.svg),
    other = coalesce(other, CASE WHEN excluded.filename <> filename THEN excluded.filename END)
"""
_READ = """
    SELECT image.id, image.name, filename, svg, other, state, deleted.name IS NOT NULL
    FROM image LEFT JOIN done USING (name) LEFT JOIN deleted USING (name)
"""

T = TypeVar("T")


@dataclass(frozen=True)
class Listed:
    """One image as v5 lists it, under the smallest id of its rows.

    `filename` is that row's; `svg` whether any row says that the original is the SVG of this name; `other` another
    filename of the same name. `state` is how an earlier run left it, if one did, and `deleted` whether it has a
    tombstone.
    """

    id: int
    name: str
    filename: str | None
    svg: bool
    other: str | None = None
    state: str | None = None
    deleted: bool = False

    def __str__(self) -> str:
        try:
            return str(self.key())
        except BadName:
            return self.filename or f"row {self.id}"

    def key(self) -> ImageKey:
        """The key of its original. Raises BadName."""
        key = ImageKey.parse(self.filename or "")
        return ImageKey(key.name, Format.SVG) if self.svg else key


class Ledger:
    """The list of images, and what is known of each."""

    def __init__(self, path: Path) -> None:
        # Each call runs in whichever thread is free, and one after another.
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._lock = asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def open(cls, folder: Path) -> AsyncIterator[Self]:
        """An empty ledger in `folder`. Raises JobFault."""
        path = temporary_file(folder)
        with _translated():
            ledger = cls(path)
        try:
            await ledger._run(lambda: ledger._database.executescript(_SCHEMA))
            yield ledger
        finally:
            ledger._database.close()
            path.unlink(missing_ok=True)

    async def add_rows(self, rows: list[Row]) -> None:
        """Take rows of the database, in the order of their ids."""
        await self._many(_ADD, ((row.id, _name(row), row.filename, row.has_svg) for row in rows))

    async def add_done(self, states: Iterable[tuple[str, str]]) -> None:
        """Take names and how they were left; a later one counts."""
        await self._many("INSERT OR REPLACE INTO done VALUES (?, ?)", states)

    async def add_deleted(self, names: Iterable[str]) -> None:
        """Take names that have a tombstone."""
        await self._many("INSERT OR IGNORE INTO deleted VALUES (?)", ((name,) for name in names))

    async def count(self) -> int:
        """How many images there are."""
        ((count,),) = await self._run(partial(self._all, "SELECT count(*) FROM image"))
        return int(str(count))

    async def of_name(self, name: str) -> Listed | None:
        """The image of this name, if v5 has it."""
        found = await self._run(partial(self._all, f"{_READ} WHERE image.name = ?", name))
        return _listed(found[0]) if found else None

    async def pages(self, order: str) -> AsyncIterator[list[Listed]]:
        """All images by their smallest id, `ASC` or `DESC`, a page at a time."""
        beyond, start = (">", -(2**31)) if order == "ASC" else ("<", 2**31)
        query = f"{_READ} WHERE id {beyond} ? ORDER BY id {order} LIMIT {_PAGE}"
        last: object = start
        while found := await self._run(partial(self._all, query, last)):
            last = found[-1][0]
            yield [_listed(row) for row in found]

    def _all(self, query: str, *values: object) -> list[tuple[object, ...]]:
        return self._database.execute(query, values).fetchall()

    async def _many(self, query: str, values: Iterable[tuple[object, ...]]) -> None:
        def work() -> None:
            self._database.execute("BEGIN")
            self._database.executemany(query, values)
            self._database.execute("COMMIT")

        await self._run(work)

    async def _run(self, work: Callable[[], T]) -> T:
        def translated() -> T:
            with _translated():
                return work()

        async with self._lock:
            return await asyncio.to_thread(translated)


def _name(row: Row) -> str:
    """What tells the image from others: rows of one name are versions of one image."""
    try:
        return ImageKey.parse(row.filename or "").name
    except BadName:
        return row.filename or f"row {row.id}"


def _listed(row: tuple[object, ...]) -> Listed:
    identity, name, filename, svg, other, state, deleted = row
    return Listed(identity, name, filename, bool(svg), other, state, bool(deleted))  # type: ignore[arg-type]


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise JobFault(f"TEMP_FOLDER cannot hold the list of images: {error}") from error
