"""Storage operations in an order that a seed decides, one at a time, by processes that can be suspended."""

import asyncio
import random
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tests.support.memory import MemoryStorage

from common.cancellation import together
from common.errors import NotDeleted, StorageFault
from common.storage.base import AnonymousAccess, Entry, Storage

_FAULTY = 0.08  # of the operations, while there are faults to give


@dataclass
class SimulatedProcess:
    """A handler with all its tasks. While it is suspended it takes no step; once it is dead, never again."""

    number: int
    name: str = ""
    suspended: bool = False
    dead: bool = False


CURRENT_PROCESS: ContextVar[SimulatedProcess] = ContextVar("CURRENT_PROCESS")


class _Parked(NamedTuple):
    process: SimulatedProcess
    what: str
    turn: "asyncio.Future[None]"


class Scheduler:
    """Lets one step happen at a time, in an order that the seed decides; each takes up to `slowness` seconds.

    `taken` are the steps so far. They are the same for a seed in every run, however the handlers' sets are ordered.
    `faults` is how many operations may still fail, of those whose name begins with one of `faulty`.
    """

    def __init__(self, seed: int, slowness: float) -> None:
        self.random = random.Random(seed)
        self.now = 0.0
        self.taken: list[str] = []
        self.faults = 0
        self.faulty = ("",)
        self._slowness = slowness
        self._parked: list[_Parked] = []

    async def step(self, what: str) -> None:
        """Wait for one's turn."""
        parked = _Parked(CURRENT_PROCESS.get(), what, asyncio.get_running_loop().create_future())
        self._parked.append(parked)
        try:
            await parked.turn
        finally:
            if parked in self._parked:
                self._parked.remove(parked)

    def release(self) -> bool:
        """Let one of those that wait go on. Returns whether there was one."""
        ready = [parked for parked in self._parked if not parked.process.suspended]
        if not ready:
            return False
        chosen = self.random.choice(sorted(ready, key=lambda parked: (parked.process.number, parked.what)))
        self._parked.remove(chosen)
        self.taken.append(f"{chosen.process.number} {chosen.what}")
        if not chosen.turn.done():
            chosen.turn.set_result(None)
        self.now += self.random.random() * self._slowness
        return True

    def fault(self, what: str) -> str | None:
        """Whether the operation whose turn it is fails: "before" its effect, or "after" it."""
        if not self.faults or not what.startswith(self.faulty) or self.random.random() >= _FAULTY:
            return None
        self.faults -= 1
        self.taken.append("fault")
        return self.random.choice(("before", "after"))


class SteppedStorage:
    """A bucket in memory whose every operation is a step; a copy is two, a read and a later write.

    While the scheduler has faults to give, an operation may fail before its effect, or after it: its answer is lost.
    """

    def __init__(self, place: str, scheduler: Scheduler) -> None:
        self.inner = MemoryStorage(lambda: scheduler.now)
        self._place = place
        self._scheduler = scheduler

    async def put(self, key: str, data: bytes, *, exclusive: bool = False) -> None:
        async with self._step(f"put {key}"):
            await self.inner.put(key, data, exclusive=exclusive)

    async def put_all(self, objects: Mapping[str, bytes]) -> None:
        """Each object is a step, in any order: a process may die between any two."""
        await together(*(self.put(key, data) for key, data in objects.items()))

    async def put_file(self, key: str, path: Path, *, exclusive: bool = False) -> None:
        async with self._step(f"put file {key}"):
            await self.inner.put_file(key, path, exclusive=exclusive)

    async def copy_from(self, source: Storage, key: str) -> None:
        await self.put(key, await source.get(key))

    async def get(self, key: str) -> bytes:
        async with self._step(f"get {key}"):
            return await self.inner.get(key)

    @asynccontextmanager
    async def as_file(self, key: str) -> AsyncIterator[Path]:
        async with self._step(f"get file {key}"):
            pass
        async with self.inner.as_file(key) as path:
            yield path

    async def stat(self, key: str) -> Entry | None:
        async with self._step(f"stat {key}"):
            return await self.inner.stat(key)

    async def is_same_object(self, other: Storage, key: str) -> bool:
        return self is other and await self.stat(key) is not None

    async def delete(self, key: str) -> None:
        async with self._step(f"delete {key}"):
            await self.inner.delete(key)

    async def delete_all(self, keys: Collection[str]) -> None:
        ordered = sorted(keys)
        outcomes = await asyncio.gather(*(self.delete(key) for key in ordered), return_exceptions=True)
        left = {key: fault for key, fault in zip(ordered, outcomes, strict=True) if isinstance(fault, StorageFault)}
        if left:
            raise NotDeleted(left, left[min(left)])

    async def anonymous_access(self, key: str) -> AnonymousAccess:
        async with self._step(f"ask {key}"):
            return await self.inner.anonymous_access(key)

    async def entries(self, prefix: str = "") -> AsyncIterator[Entry]:
        async with self._step(f"list {prefix}"):
            found = [entry async for entry in self.inner.entries(prefix)]
        for entry in found:
            yield entry

    async def objects_of(self, names: Collection[str]) -> AsyncIterator[Entry]:
        async with self._step("list names"):
            found = [entry async for entry in self.inner.objects_of(names)]
        for entry in found:
            yield entry

    async def check(self) -> None:
        async with self._step("check"):
            pass

    async def unfinished_writes(self) -> list[str]:
        async with self._step("list unfinished"):
            return await self.inner.unfinished_writes()

    async def remove_unfinished_writes(self) -> None:
        async with self._step("remove unfinished"):
            pass

    @asynccontextmanager
    async def _step(self, what: str) -> AsyncIterator[None]:
        await self._scheduler.step(f"{self._place} {what}")
        fault = self._scheduler.fault(what)
        if fault == "before":
            raise StorageFault(f"{self._place} {what}: not done")
        yield
        if fault == "after":
            raise StorageFault(f"{self._place} {what}: its answer is lost")
