"""A bucket in memory: the storage protocol for tests that need to stop between any two steps."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

from common.cancellation import together
from common.errors import KeyTaken, NoSuchKey, NotDeleted, StorageFault
from common.images.names import image_name_of
from common.storage.base import AnonymousAccess, Entry, Storage


class MemoryStorage:
    """Objects in a dict. Passes the contract suite of the real ones."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.objects: dict[str, bytes] = {}
        self._written: dict[str, float] = {}
        self._clock = clock

    async def put(self, key: str, data: bytes, *, exclusive: bool = False) -> None:
        if exclusive and key in self.objects:
            raise KeyTaken(key)
        self.objects[key] = data
        self._written[key] = self._clock()

    async def put_all(self, objects: Mapping[str, bytes]) -> None:
        await together(*(self.put(key, data) for key, data in objects.items()))

    async def put_file(self, key: str, path: Path, *, exclusive: bool = False) -> None:
        await self.put(key, path.read_bytes(), exclusive=exclusive)  # noqa: ASYNC240 - a file of a test

    async def copy_from(self, source: Storage, key: str) -> None:
        if await self.is_same_object(source, key):
            raise StorageFault(f"{key} cannot be copied onto itself")
        await self.put(key, await source.get(key))

    async def get(self, key: str) -> bytes:
        if key not in self.objects:
            raise NoSuchKey(key)
        return self.objects[key]

    @asynccontextmanager
    async def as_file(self, key: str) -> AsyncIterator[Path]:
        data = await self.get(key)
        with NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            yield Path(file.name)

    async def stat(self, key: str) -> Entry | None:
        if key not in self.objects:
            return None
        return Entry(key, len(self.objects[key]), self._clock() - self._written[key])

    async def is_same_object(self, other: Storage, key: str) -> bool:
        return key in self.objects and self is other

    async def delete(self, key: str) -> None:
        self.objects.pop(key, None)

    async def delete_all(self, keys: Collection[str]) -> None:
        outcomes = await asyncio.gather(*(self.delete(key) for key in keys), return_exceptions=True)
        left = {key: fault for key, fault in zip(keys, outcomes, strict=True) if isinstance(fault, StorageFault)}
        if left:
            raise NotDeleted(left, left[min(left)])

    async def anonymous_access(self, key: str) -> AnonymousAccess:
        return AnonymousAccess(readable=None if key in self.objects else False)

    async def entries(self, prefix: str = "") -> AsyncIterator[Entry]:
        for key in list(self.objects):
            if key.startswith(prefix) and "/" not in key[len(prefix) :] and (entry := await self.stat(key)):
                yield entry

    async def objects_of(self, names: Collection[str]) -> AsyncIterator[Entry]:
        async for entry in self.entries():
            if image_name_of(entry.key) in names:
                yield entry

    async def check(self) -> None:
        """Memory is always there."""

    async def unfinished_writes(self) -> list[str]:
        return []

    async def remove_unfinished_writes(self) -> None:
        """Nothing is ever left behind."""
