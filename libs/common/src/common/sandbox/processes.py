"""The decoding processes of a pool: how they start and end, and why none can start."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress

import structlog

from common.cancellation import to_the_end
from common.errors import Transient
from common.sandbox.process import CannotStart, DecodingProcess
from common.sandbox.protocol import Limits
from common.sandbox.walls import Walls

log = structlog.get_logger()

_START_AGAIN = 1.0  # seconds between attempts to start a process where none can be started


class Processes:
    """Starts processes under the same limits, and ends all of them when it is closed."""

    def __init__(self, limits: Limits, niceness: int) -> None:
        self.walls: Walls | None = None  # of the process that was started last
        self.trouble: str | None = None  # why no process can be started just now
        self._limits = limits
        self._niceness = niceness
        self._living: set[DecodingProcess] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> DecodingProcess:
        """Start one. Raises Transient where none can start: then attempts go on, and this fails until one succeeds.

        A cancellation is raised once nothing is left of the process.
        """
        if self.trouble is not None:
            raise Transient(self.trouble)
        starting = asyncio.create_task(self._new())
        try:
            return await to_the_end(starting, on_cancel=lambda running: running.cancel())
        except CannotStart as error:
            if self.trouble is None:
                self.trouble = f"no decoding process can start: {error}"
                log.error("no decoding process can start", python=sys.executable, reason=str(error))
                self._spawn(self._recover())
            raise Transient(self.trouble) from error
        except asyncio.CancelledError:
            if not starting.cancelled() and starting.exception() is None:
                self.end(starting.result())
            raise

    def end(self, process: DecodingProcess) -> None:
        """Kill it now."""
        process.kill()
        self._spawn(self._gone(process))

    def replace(self, process: DecodingProcess, then: Callable[[DecodingProcess | None], None]) -> None:
        """Kill it now; once it is gone, with all its memory, start another. `then` is given that, or None.

        So a job that comes later finds a process, and one that is waiting already waits for no more than a start.
        """
        process.kill()
        self._spawn(self._replaced(process, then))

    def memory_bytes(self) -> int:
        """The memory that all of them have in use."""
        return sum(process.memory_bytes() for process in self._living)

    async def close(self) -> None:
        """End all of them. Returns once they are gone."""
        for process in self._living:
            process.kill()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(process.ended() for process in self._living))

    async def _new(self) -> DecodingProcess:
        process = await DecodingProcess.start(self._limits, self._niceness)
        self._living.add(process)
        if process.walls != self.walls:
            self.walls = process.walls
            say = log.warning if self.walls.missing() else log.info
            say("decoding processes are confined", landlock=self.walls.landlock, seccomp=self.walls.seccomp)
        complaint = process.walls.complaint()
        if complaint is not None and self._limits.walls_required:
            self.end(process)
            raise CannotStart(complaint)
        return process

    async def _recover(self) -> None:
        """Try until a process starts."""
        while self.trouble is not None:
            await asyncio.sleep(_START_AGAIN)
            try:
                process = await self._new()
            except CannotStart as error:
                self.trouble = f"no decoding process can start: {error}"
                continue
            self.trouble = None
            log.info("decoding processes start again")
            self.end(process)  # it has no slot

    async def _gone(self, process: DecodingProcess) -> None:
        await process.ended()
        self._living.discard(process)

    async def _replaced(self, process: DecodingProcess, then: Callable[[DecodingProcess | None], None]) -> None:
        successor = None
        try:
            await self._gone(process)
            with suppress(Transient):
                successor = await self.start()
        finally:
            then(successor)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
