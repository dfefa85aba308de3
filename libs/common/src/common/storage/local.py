"""Buckets as local folders (folder.py), which are read and written in threads."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Self, TypeVar

from common.cancellation import in_thread
from common.errors import NoSuchKey, NotDeleted, StorageFault
from common.images.names import image_name_of
from common.storage.base import AnonymousAccess, Entry, Storage
from common.storage.files import link_or_copy, sync_file, write_synced
from common.storage.folder import TEMPORARY, Folder
from common.storage.measured import measured
from common.storage.scan import scan_folder

_BATCH = 1000

T = TypeVar("T")


@measured
class LocalStorage:
    """One bucket in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = Folder(folder)

    def __str__(self) -> str:
        return self._folder.root.name

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The bucket in `folder`, which is made where it is missing. Raises StorageFault."""
        bucket = cls(folder)
        bucket._folder.make()
        return bucket

    def path(self, key: str) -> Path:
        """The object's path. Raises StorageFault for a key that is no name in this folder, such as `../key`."""
        return self._folder.path(key)

    async def put(self, key: str, data: bytes, *, exclusive: bool = False) -> None:
        """Store `data` under `key`. With `exclusive`, raises KeyTaken where an object is there already."""
        await self._put({key: partial(write_synced, data=data)}, exclusive=exclusive)

    async def put_all(self, objects: Mapping[str, bytes]) -> None:
        """Store each object under its key, in one turn of a thread and with one sync of the folder."""
        await self._put({key: partial(write_synced, data=data) for key, data in objects.items()}, exclusive=False)

    async def put_file(self, key: str, path: Path, *, exclusive: bool = False) -> None:
        """Store the file's content under `key`: as a hard link if possible, else as a copy."""

        def write(temporary: Path) -> None:
            link_or_copy(path, temporary)
            sync_file(temporary)

        await self._put({key: write}, exclusive=exclusive)

    async def _put(self, writes: Mapping[str, Callable[[Path], None]], *, exclusive: bool) -> None:
        stored = False

        def store() -> None:
            nonlocal stored
            self._folder.store(writes, exclusive=exclusive)
            stored = True

        try:
            await self._run(", ".join(writes), store)
        except asyncio.CancelledError:
            if exclusive and stored:
                await self.delete_all(writes)
            raise

    async def copy_from(self, source: Storage, key: str) -> None:
        """Store another bucket's object here under the same key. Raises NoSuchKey."""
        if await self.is_same_object(source, key):
            raise StorageFault(f"folder {self._folder.root}: {key} cannot be copied onto itself")
        async with source.as_file(key) as path:
            await self.put_file(key, path)

    async def get(self, key: str) -> bytes:
        """The object's content. Raises NoSuchKey."""
        return await self._run(key, self.path(key).read_bytes)

    @asynccontextmanager
    async def as_file(self, key: str) -> AsyncIterator[Path]:
        """A second name of the object's file. It stays readable when the object is deleted. Raises NoSuchKey."""
        held = self._folder.unused_path()
        try:
            await self._run(key, lambda: link_or_copy(self.path(key), held))
            yield held
        finally:
            await self._run(key, lambda: held.unlink(missing_ok=True))

    async def stat(self, key: str) -> Entry | None:
        """The object's entry, or None when the folder holds no such key."""
        try:
            found = await self._run(key, self.path(key).stat)
        except NoSuchKey:
            return None
        return Entry(key, found.st_size, time.time() - found.st_mtime)

    async def is_same_object(self, other: Storage, key: str) -> bool:
        """Whether both are one folder. Two names of one file in two folders are two objects."""
        self.path(key)
        return isinstance(other, LocalStorage) and await self.place() == await other.place()

    async def place(self) -> tuple[int, int]:
        """Device and number of the folder, which it has under all its names."""
        found = await self._run("", self._folder.root.stat)
        return found.st_dev, found.st_ino

    async def delete(self, key: str) -> None:
        """Remove the object. A key that does not exist is no error."""
        await self.delete_all([key])

    async def delete_all(self, keys: Collection[str]) -> None:
        """Remove the objects, in one turn of a thread. Raises NotDeleted."""
        if not keys:
            return  # even while the folder is away: nothing is left that should be gone
        try:
            left = await self._run("", lambda: self._folder.remove(keys))
        except StorageFault as fault:
            raise NotDeleted(keys, fault) from fault
        if left:
            raise NotDeleted(left, left[min(left)])

    async def anonymous_access(self, key: str) -> AnonymousAccess:
        """Unknown: whoever can read the folder may serve its files."""
        self.path(key)
        return AnonymousAccess(readable=None)

    async def entries(self, prefix: str = "") -> AsyncIterator[Entry]:
        """Entries whose key starts with `prefix`, read a batch at a time."""
        async for entry in self._listed(prefix, lambda key: key.startswith(prefix)):
            yield entry

    async def objects_of(self, names: Collection[str]) -> AsyncIterator[Entry]:
        """Entries of all objects of the images of these names. A folder is read as a whole: once for all of them."""
        async for entry in self._listed("", lambda key: image_name_of(key) in names):
            yield entry

    async def check(self) -> None:
        """Return if the folder can be written to."""
        await self._run("", self._folder.check)

    async def unfinished_writes(self) -> list[str]:
        """Temporary files that are too old to be in use."""
        return [f"{TEMPORARY}/{left.name}" for left in await self._run("", self._folder.unfinished)]

    async def remove_unfinished_writes(self) -> None:
        """Remove them."""
        await self._run("", self._folder.remove_unfinished)

    async def _listed(self, prefix: str, wanted: Callable[[str], bool]) -> AsyncIterator[Entry]:
        found = scan_folder(self._folder.root, prefix, wanted)
        while batch := await self._run(prefix, lambda: list(islice(found, _BATCH))):
            for entry in batch:
                if entry is not None:
                    yield entry

    async def _run(self, key: str, work: Callable[[], T]) -> T:
        def translated() -> T:
            with self._folder.translated(key):
                return work()

        return await in_thread(translated)
