"""Handlers at work, step by step, as a seed decides: some are killed, and what is retried begins again."""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from dataclasses import dataclass

from tests.support.instant_loop import InstantLoop
from tests.support.scheduler import CURRENT_PROCESS, Scheduler, SimulatedProcess

from common.errors import Permanent, Transient

DEADLINE = 300.0  # seconds that a handler has, as on the bus
_KILLED = 0.05  # of the steps, while there are crashes to come
_EXHAUSTED = 0.4  # of the failures of an event, where retries can be exhausted

Handler = Callable[[], Coroutine[None, None, None]]


@dataclass
class Work:
    handler: Handler
    process: SimulatedProcess
    deadline: float
    end: float
    request: bool
    exhausted: Handler | None


class Processes:
    """What runs on the steps of a scheduler. `crashes` is how many handlers may still be killed.

    With `gives_up`, the retries of an event may be exhausted.
    """

    def __init__(self, scheduler: Scheduler, crashes: int, *, gives_up: bool = False) -> None:
        self.scheduler = scheduler
        self.crashes = crashes
        self._gives_up = gives_up
        self._running: dict[asyncio.Task[None], Work] = {}
        self._started = 0

    def start(
        self,
        handler: Handler,
        *,
        deadline: float = DEADLINE,
        request: bool = False,
        exhausted: Handler | None = None,
        name: str = "",
    ) -> None:
        """Begin. What is killed or fails begins again, but a `request`: it is answered with the fault, or never.

        `exhausted` is what follows the last retry of an event. Without a name, the process has that of the method of
        which the handler is a part.
        """
        self._started += 1
        name = name or handler.__qualname__.split(".")[1]
        process, context = SimulatedProcess(self._started, name), copy_context()
        context.run(CURRENT_PROCESS.set, process)
        task = asyncio.create_task(handler() if request else self.acknowledged(handler), context=context)
        self._running[task] = Work(handler, process, deadline, self.scheduler.now + deadline, request, exhausted)

    async def acknowledged(self, handler: Handler) -> None:
        """Handle an event, and acknowledge it."""
        await handler()

    async def stop(self) -> None:
        """All processes die, and every event is lost: what the embedded default's bus holds dies with it."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._running.clear()

    def suspend(self) -> None:
        """Suspend what runs now; `run` then goes on with what is started afterwards."""
        for work in self._running.values():
            work.process.suspended = True

    def resume(self) -> None:
        """Let what was suspended go on."""
        for work in self._running.values():
            work.process.suspended = False

    async def run(self, after_each_step: Callable[[], None], *, steps: float = float("inf")) -> None:
        """Step until nothing runs any more, or this often."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, InstantLoop)
        while any(not work.process.suspended for work in self._running.values()) and steps > 0:
            steps -= 1
            await loop.idle()  # everyone comes to their next step
            self._collect()
            late = [task for task, work in self._running.items() if self.scheduler.now > work.end]
            if late:
                await self._crash(late)
            elif self.crashes and self._running and self.scheduler.random.random() < _KILLED:
                self.crashes -= 1
                await self._crash(list(self._running))
            elif self._running and not self.scheduler.release():
                await asyncio.sleep(1)  # a handler waits for something that is no step
            after_each_step()

    def refused(self, error: Permanent) -> None:
        """A request or an event was refused: holds the refusal against what is stored."""
        raise error

    def _collect(self) -> None:
        for task in [task for task in self._running if task.done()]:
            work = self._running.pop(task)
            try:
                task.result()
            except Transient:
                self._retry(work)
            except Permanent as error:
                self.refused(error)

    def _retry(self, work: Work) -> None:
        if work.request:
            return
        if work.exhausted is not None and self._gives_up and self.scheduler.random.random() < _EXHAUSTED:
            self.start(work.exhausted, request=True, name=work.process.name)
        else:
            self._begin_again(work)

    async def _crash(self, tasks: list[asyncio.Task[None]]) -> None:
        task = self.scheduler.random.choice(tasks)
        work = self._running.pop(task)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if not work.request:
            self._begin_again(work)

    def _begin_again(self, work: Work) -> None:
        self.start(work.handler, exhausted=work.exhausted, deadline=work.deadline, name=work.process.name)
