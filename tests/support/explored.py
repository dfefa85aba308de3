"""A world whose every step is chosen by a schedule: one image, both buckets, the real handlers, no chance.

What a process knows follows from the answers that it has had. With the buckets that is the whole state. So a schedule
ends where another one has been before.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from typing import NamedTuple

from tests.support.chosen_steps import BUCKETS, ChosenScheduler, Fault, parts
from tests.support.instant_loop import InstantLoop
from tests.support.processes import Handler, Work
from tests.support.scheduler import SimulatedProcess
from tests.support.schedules import Option, Schedule
from tests.support.world import World

from common.images.names import ImageKey
from common.images.plan import Plan
from common.images.records import record_key


class _Move(NamedTuple):
    """A step of a process, or the death of one; with a fault, how it goes wrong."""

    process: SimulatedProcess
    what: str
    fault: Fault | None = None

    def __str__(self) -> str:
        happened = f"{self.what} ({self.fault})" if self.what and self.fault else self.what or str(self.fault)
        return f"{self.process.number} {self.process.name}: {happened}"


def keys_of(image: ImageKey, plan: Plan) -> set[str]:
    """The original, the variants and the records."""
    rendered = {key for stage in plan.stages for key in (record_key(image, stage), *plan.variant_keys(image, stage))}
    return {str(image), *rendered}


class NewlyWritten(Exception):
    """An object was written that nobody was known to write."""


class ExploredWorld(World):
    """`faults` are what may go wrong, as often as the bound of the schedule allows."""

    def __init__(
        self,
        images: tuple[ImageKey, ...],
        plan: Plan,
        faults: frozenset[Fault],
        written: set[str],
        *,
        other: Plan | None = None,
    ) -> None:
        rendered = {key for one in (plan, other or plan) for image in images for key in keys_of(image, one)}
        keys = rendered | {key for image in images for key in (image.crop_key, image.tombstone_key)}
        self.chosen = ChosenScheduler(keys)
        super().__init__(0, 0, publishing=(plan,), resizing=(plan,), scheduler=self.chosen)
        self.images, self.plan = images, plan
        self.outbox = self._publisher_context.outbox
        self.promised: set[str] = set()
        self.story: list[str] = []
        self._faults = faults
        self._written = written
        self._last: _Move | None = None
        self.gives_up = False
        self._known: dict[int, int] = {}  # what each process has seen, as a sum of hashes
        self._asked: Counter[tuple[int, str]] = Counter()

    async def follow(self, schedule: Schedule, after_each_step: Callable[[], None]) -> None:
        """Run until nothing is left to do. Raises SeenBefore, and NewlyWritten while it is searched."""
        self._last = None
        while await self._settled():
            if await self._kill_late():
                continue
            options = list(self._options())
            if not options:
                await asyncio.sleep(1)  # a handler waits for something that is no step
                continue
            move = schedule.choose(options, self._state)
            assert isinstance(move, _Move)
            self.story.append(str(move))
            if self._writes_newly(move) and schedule.is_searched:
                raise NewlyWritten
            await self._make(move)
            self._last = move
            await self._settled()
            after_each_step()

    async def acknowledged(self, handler: Handler) -> None:
        """The acknowledgement is a step: who is killed before it gets the event again."""
        await super().acknowledged(handler)
        await self.scheduler.step("acknowledge")

    def _retry(self, work: Work) -> None:
        """Where it `gives_up`, it does so at once."""
        if self.gives_up and work.exhausted is not None:
            self.start(work.exhausted, request=True, name=f"last attempt of {work.process.name}")
        else:
            super()._retry(work)

    async def stop(self) -> None:
        for work in self._running.values():
            self.chosen.end(work.process)
        await super().stop()

    async def _settled(self) -> bool:
        """Everyone comes to their next step. Returns whether anybody is left."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, InstantLoop)
        while True:
            await loop.idle()
            if not any(task.done() for task in self._running):
                return bool(self._running)
            self._collect()

    def _options(self) -> Iterator[Option]:
        """To go on comes first. To change to another process costs nothing where the last one ended or waits.

        A step at an object that no schedule of the scenario writes commutes with all others. Before it, only faults
        are offered.
        """
        last = self._last and self._last.process
        processes = [work.process for work in self._running.values() if self.chosen.waiting(work.process)]
        processes.sort(key=lambda process: (process is not last, process.number))
        goes_on = bool(processes) and processes[0] is last
        alone = goes_on and not self._is_visible(self.chosen.waiting(processes[0])[0])
        for process in processes:
            for place, what in enumerate(self.chosen.waiting(process)):
                costs = int(place > 0 or (goes_on and process is not last))
                is_offered = not alone and (place == 0 or self._is_visible(what))
                yield Option(_Move(process, what), is_offered, preemptions=costs)
                if costs == 0:
                    yield from (Option(_Move(process, what, fault), faults=1) for fault in self._faults_of(what))
            if process is last and self._last:
                was_visible = self._is_visible(self._last.what)
                for fault in sorted(self._faults & {Fault.KILL, Fault.STOP_ALL}):
                    yield Option(_Move(process, "", fault), was_visible, faults=1)

    def _is_visible(self, what: str) -> bool:
        place, operation, key = parts(what)
        return place == "publish" or operation == "list" or f"{place} {key}" in self._written

    def _writes_newly(self, move: _Move) -> bool:
        place, operation, key = parts(move.what)
        written = f"{place} {key}"
        writes = operation == "put" or (operation == "delete" and key in self._objects(place))
        if not writes or written in self._written:
            return False
        self._written.add(written)
        return True

    def _faults_of(self, what: str) -> list[Fault]:
        if parts(what)[0] not in BUCKETS:
            return sorted(self._faults & {Fault.REFUSE})
        faults = self._faults & {Fault.NOT_DONE, Fault.ANSWER_LOST}
        return sorted(faults if parts(what)[1] in {"put", "delete"} else faults - {Fault.ANSWER_LOST})

    async def _make(self, move: _Move) -> None:
        if move.fault is Fault.STOP_ALL:
            await self.stop()
        elif move.fault is Fault.KILL:
            await self._kill(move.process)
        else:
            self._remember(move)
            self.chosen.fault_of_step = move.fault
            self.chosen.take(move.process, move.what)
            if move.fault is Fault.REFUSE:
                self._send_again()

    def _send_again(self) -> None:
        """The broker is back soon: what waits is sent, unless its process dies first."""

        async def send() -> None:
            await self.scheduler.step("publish what waits")
            await self.outbox.flush()

        self.start(send, request=True, name="outbox")

    async def _kill_late(self) -> bool:
        """Kill who has worked on an event for longer than it may. Returns whether there was anybody."""
        late = [work.process for work in self._running.values() if self.scheduler.now > work.end]
        for process in late:
            await self._kill(process)
        return bool(late)

    async def _kill(self, process: SimulatedProcess) -> None:
        self.chosen.end(process)
        await self._crash([task for task, work in self._running.items() if work.process is process])

    def _remember(self, move: _Move) -> None:
        number, what = move.process.number, move.what
        asked = self._asked[number, what]
        self._asked[number, what] += 1
        place, operation, key = parts(what)
        objects = self._objects(place)
        found: Hashable = _content(objects) if operation == "list" else objects.get(key)
        answer = hash((what, asked, found, move.fault, self.scheduler.now))
        self._known[number] = self._known.get(number, 0) + answer

    def _objects(self, bucket: str) -> dict[str, bytes]:
        return {"incoming": self.incoming, "active": self.active}.get(bucket, {})

    def _state(self) -> Hashable:
        last = self._last and self._last.process
        processes = sorted(
            (work.process.name, self._known.get(work.process.number, 0), work.process is last, work.end)
            for work in self._running.values()
        )
        promised = frozenset(self.promised | self.answered | {str(self.published)} | self.announced)
        outbox = self.outbox._waiting  # noqa: SLF001 - it is state, too
        waiting = tuple((key, len(events)) for key, events in sorted(outbox.items()) if events)
        contents = _content(self.incoming), _content(self.active)
        return hash((contents, tuple(processes), promised, waiting, self.scheduler.now))


def _content(objects: dict[str, bytes]) -> Hashable:
    return tuple(sorted(objects.items()))
