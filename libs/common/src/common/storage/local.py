"""Buckets as local folders.

An object is written under a temporary name in the same file system, synced and renamed, and then its folder is synced.
So a crash or a full disk leaves no partial object under a key. Objects are never changed in place, so a file may have
two names; copies are hard links where the file system has them.
"""

import asyncio
import errno
import re
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Self, TypeVar
from uuid import uuid4

from common.cancellation import in_thread
from common.errors import KeyTaken, NoSuchKey, NotDeleted, StorageFault, StorageFull
from common.images.names import image_name_of
from common.storage.base import AnonymousAccess, Entry, Storage
from common.storage.files import claim_name, link_or_copy, sync_file, sync_folder, write_synced
from common.storage.measured import measured
from common.storage.scan import scan_folder

TEMPORARY = ".tmp"
_STALE = 3600  # seconds; no write takes so long, so an older temporary file was left by a crash
_SAFE_KEY = re.compile(r"([A-Za-z0-9_-][A-Za-z0-9._-]*/)?[A-Za-z0-9_-][A-Za-z0-9._-]*")
_BATCH = 1000
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})

T = TypeVar("T")


@measured
class LocalStorage:
    """One bucket in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._temporary = folder / TEMPORARY

    def __str__(self) -> str:
        return self._folder.name

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The bucket in `folder`, which is made where it is missing. Raises StorageFault."""
        bucket = cls(folder)
        with bucket._translated(""):
            bucket._temporary.mkdir(parents=True, exist_ok=True)
        return bucket

    def path(self, key: str) -> Path:
        """The object's path. Raises StorageFault for a key that is no name in this folder, such as `../key`."""
        if not _SAFE_KEY.fullmatch(key):
            raise StorageFault(f"{key!r} is not a key that a folder can hold")
        return self._folder / key

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
            self._store(writes, exclusive=exclusive)
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
            raise StorageFault(f"folder {self._folder}: {key} cannot be copied onto itself")
        async with source.as_file(key) as path:
            await self.put_file(key, path)

    async def get(self, key: str) -> bytes:
        """The object's content. Raises NoSuchKey."""
        return await self._run(key, self.path(key).read_bytes)

    @asynccontextmanager
    async def as_file(self, key: str) -> AsyncIterator[Path]:
        """A second name of the object's file. It stays readable when the object is deleted. Raises NoSuchKey."""
        held = self._temporary / uuid4().hex
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
        found = await self._run("", self._folder.stat)
        return found.st_dev, found.st_ino

    async def delete(self, key: str) -> None:
        """Remove the object. A key that does not exist is no error."""
        await self.delete_all([key])

    async def delete_all(self, keys: Collection[str]) -> None:
        """Remove the objects, in one turn of a thread. Raises NotDeleted."""
        if not keys:
            return  # even while the folder is away: nothing is left that should be gone
        left: dict[str, StorageFault] = {}

        def remove() -> None:
            changed = set()
            for key in keys:
                try:
                    if self._unlink(self.path(key)):
                        changed.add(self.path(key).parent)
                except StorageFault as fault:
                    left[key] = fault
            self._temporary.stat()  # a key is absent only where the folder is there
            for folder in changed:
                sync_folder(folder)

        try:
            await self._run("", remove)
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

        def touch() -> None:
            probe = self._temporary / uuid4().hex
            probe.touch()
            probe.unlink()

        await self._run("", touch)

    async def unfinished_writes(self) -> list[str]:
        """Temporary files that are too old to be in use."""
        return [f"{TEMPORARY}/{left.name}" for left in await self._run("", self._stale)]

    async def remove_unfinished_writes(self) -> None:
        """Remove them."""

        def clear() -> None:
            for left in self._stale():
                left.unlink(missing_ok=True)

        await self._run("", clear)

    def _stale(self) -> list[Path]:
        found = []
        for left in self._temporary.iterdir():
            with suppress(FileNotFoundError):
                if time.time() - left.stat().st_ctime > _STALE:
                    found.append(left)
        return found

    async def _listed(self, prefix: str, wanted: Callable[[str], bool]) -> AsyncIterator[Entry]:
        found = scan_folder(self._folder, prefix, wanted)
        while batch := await self._run(prefix, lambda: list(islice(found, _BATCH))):
            for entry in batch:
                if entry is not None:
                    yield entry

    def _store(self, writes: Mapping[str, Callable[[Path], None]], *, exclusive: bool) -> None:
        """Store under each key what its function writes to a temporary name."""
        finals = [self.path(key) for key in writes]
        temporaries = [self._temporary / uuid4().hex for _ in writes]
        try:
            for temporary, write in zip(temporaries, writes.values(), strict=True):
                write(temporary)
            for temporary, final in zip(temporaries, finals, strict=True):
                if final.parent != self._folder:
                    final.parent.mkdir(exist_ok=True)
                if exclusive:
                    claim_name(temporary, final)
                temporary.rename(final)
            for folder in {final.parent for final in finals}:
                sync_folder(folder)
        except FileExistsError as error:
            raise KeyTaken(", ".join(writes)) from error
        finally:
            # Also after a rename: one between two names of the same file does nothing, and leaves both.
            for temporary in temporaries:
                temporary.unlink(missing_ok=True)

    def _unlink(self, path: Path) -> bool:
        """Remove the file. Returns whether there was one."""
        with self._translated(path.name):
            try:
                path.unlink()
            except FileNotFoundError:
                return False
        return True

    async def _run(self, key: str, work: Callable[[], T]) -> T:
        def translated() -> T:
            with self._translated(key):
                return work()

        return await in_thread(translated)

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            if key and self._temporary.is_dir():
                raise NoSuchKey(key) from error
            raise StorageFault(f"the folder {self._folder} is missing") from error
        except OSError as error:
            fault = StorageFull if error.errno in _FULL else StorageFault
            raise fault(f"folder {self._folder}: {error.strerror or error} ({key or 'itself'})") from error
