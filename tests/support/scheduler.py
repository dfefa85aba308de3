"""Storage operations in an order that a seed decides, one at a time, by processes that can be suspended."""

import asyncio
import random
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from tests.support.memory import MemoryStorage

from common.storage.base import AnonymousAccess, Entry, Storage


@dataclass
class SimulatedProcess:
    """A handler with all its tasks. While it is suspended it takes no step."""

    suspended: bool = False


CURRENT_PROCESS: ContextVar[SimulatedProcess] = ContextVar("CURRENT_PROCESS")


class Scheduler:
    """Lets one step happen at a time, in an order that the seed decides; each takes up to `slowness` seconds."""

    def __init__(self, seed: int, slowness: float) -> None:
        self.random = random.Random(seed)
        self.now = 0.0
        self._slowness = slowness
        self._parked: dict[asyncio.Future[None], SimulatedProcess] = {}

    async def step(self) -> None:
        """Wait for one's turn."""
        turn = asyncio.get_running_loop().create_future()
        self._parked[turn] = CURRENT_PROCESS.get()
        try:
            await turn
        finally:
            self._parked.pop(turn, None)

    def release(self) -> bool:
        """Let one of those that wait go on. Returns whether there was one."""
        ready = [turn for turn, process in self._parked.items() if not process.suspended]
        if not ready:
            return False
        turn = self.random.choice(ready)
        del self._parked[turn]
        if not turn.done():
            turn.set_result(None)
        self.now += self.random.random() * self._slowness
        return True


class SteppedStorage:
    """A bucket in memory whose every operation is a step; a copy is two, a read and a later write."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.inner = MemoryStorage(lambda: scheduler.now)
        self._step = scheduler.step

    async def put(self, key: str, data: bytes) -> None:
        await self._step()
        await self.inner.put(key, data)

    async def put_file(self, key: str, path: Path, *, exclusive: bool = False) -> None:
        await self._step()
        await self.inner.put_file(key, path, exclusive=exclusive)

    async def copy_from(self, source: Storage, key: str) -> None:
        await self.put(key, await source.get(key))

    async def get(self, key: str) -> bytes:
        await self._step()
        return await self.inner.get(key)

    @asynccontextmanager
    async def as_file(self, key: str) -> AsyncIterator[Path]:
        await self._step()
        async with self.inner.as_file(key) as path:
            yield path

    async def stat(self, key: str) -> Entry | None:
        await self._step()
        return await self.inner.stat(key)

    async def is_same_object(self, other: Storage, key: str) -> bool:
        return self is other and await self.stat(key) is not None

    async def delete(self, key: str) -> None:
        await self._step()
        await self.inner.delete(key)

    async def delete_all(self, keys: Collection[str]) -> None:
        await asyncio.gather(*(self.delete(key) for key in keys))

    async def anonymous_access(self, key: str) -> AnonymousAccess:
        await self._step()
        return await self.inner.anonymous_access(key)

    async def entries(self, prefix: str = "") -> AsyncIterator[Entry]:
        await self._step()
        async for entry in self.inner.entries(prefix):
            yield entry

    async def objects_of(self, names: Collection[str]) -> AsyncIterator[Entry]:
        await self._step()
        async for entry in self.inner.objects_of(names):
            yield entry

    async def check(self) -> None:
        await self._step()

    async def unfinished_writes(self) -> list[str]:
        await self._step()
        return await self.inner.unfinished_writes()

    async def remove_unfinished_writes(self) -> None:
        await self._step()
