"""The pool of decoding processes.

One bad image costs one failure: a process that crashes, hangs or takes too much is ended and replaced, and its
neighbours go on. A process is given another job only when it has ended the last one well and left few threads running,
and DECODER_JOBS of them at most. A crash is tried once more in a fresh process before it is held against the image,
because a process can also fall to something that is not its fault. What the machine does is never held against an
image: a process that cannot start, is stopped, or gets no CPU.
"""

import asyncio
import pickle
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from time import perf_counter
from typing import Self, TypeVar

from common import metrics, tracing
from common.errors import Defect, FailureClass, ImageError, SettingsError, Transient
from common.sandbox.process import DecodingProcess, Died
from common.sandbox.processes import Processes
from common.sandbox.protocol import Job, Limits, Original, Result, operation_name
from common.sandbox.walls import Walls
from common.sandbox.work import Work

J = TypeVar("J", bound=Job)
R = TypeVar("R", bound=Result)
Operation = Callable[[J, Original], tuple[R, list[bytes]]]

# Of processes for work that can wait: they give way to all others on the machine, and yet keep a tenth of a CPU that an
# ordinary process would have whole (Linux weighs 110 against 1,024; niceness 19, 15, and a busy machine starves it).
_NICENESS = 10

# What the system ends processes with where there is no memory left: SIGKILL is the kernel's and that of containers,
# SIGTERM that of programs which watch over a machine's memory. No image can bring either about under the limits.
_OF_THE_SYSTEM = (-signal.SIGKILL, -signal.SIGTERM)

# What runs out of time by the clock is slow by itself only if it had the CPU for this share of the time.
_SHARE_OF_CPU = 0.5


def _uncounted(_: float) -> None:
    """For jobs whose CPU time is only counted by their operation."""


class Pool:
    """Some processes that run one job each at a time. Each starts when it is first needed."""

    def __init__(self, name: str, limits: Limits, niceness: int) -> None:
        self.limits = limits
        self.cpu_seconds = 0.0  # taken by all jobs that have ended well
        self._busy = metrics.IMAGING_BUSY.labels(name)
        self._processes = Processes(limits, niceness)
        self._idle: asyncio.LifoQueue[DecodingProcess | None] = asyncio.LifoQueue()

    @classmethod
    @asynccontextmanager
    async def open(
        cls, size: int, limits: Limits, *, background: bool = False, name: str = "command"
    ) -> AsyncIterator[Self]:
        """A pool of `size` processes at most, which are ended with the context. Metrics call it by its `name`.

        With `background` they give way to everything else. Raises SettingsError where walls are required and one is
        missing.
        """
        pool = cls(name, limits, _NICENESS if background else 0)
        workers = metrics.IMAGING_WORKERS.labels(name)
        workers.inc(size)
        metrics.IMAGING_MEMORY.labels(name).set_function(pool._processes.memory_bytes)
        for _ in range(size):
            # The last one in is the first one out: what has just done a job is taken before what has to start.
            pool._idle.put_nowait(None)
        try:
            if limits.walls_required:
                await pool.start_one()
                if pool.walls is not None and pool.walls.missing():
                    raise SettingsError([f"SANDBOX=required, and {pool.trouble()}"])
            yield pool
        finally:
            workers.dec(size)
            await pool._processes.close()

    def trouble(self) -> str | None:
        """Why no process can be started just now, or None. While there is a reason, jobs that need one fail at once."""
        return self._processes.trouble

    @property
    def walls(self) -> Walls | None:
        """Those of the process that was started last; None before the first one."""
        return self._processes.walls

    async def start_one(self) -> None:
        """Start a process before there is work, so that `trouble` is known."""
        process = await self._idle.get()
        try:
            with suppress(Transient):
                process = process or await self._processes.start()
        finally:
            self._idle.put_nowait(process)

    async def run(
        self,
        operation: Operation[J, R],
        job: J,
        result: type[R],
        original: Path | None,
        *,
        count_cpu: Callable[[float], None] | None = None,
    ) -> tuple[R, list[bytes]]:
        """Run the operation (a module's function) on the job and the file in one of the processes.

        The process is handed the open file, and no path. Without a file the operation is given no bytes. `count_cpu` is
        called with the CPU seconds of a job that ended well.

        Returns its result and blobs. Raises ImageError when the image is at fault: it cannot be decoded, or has
        ended its process twice, or took more than the limits allow. Raises Transient when the machine is at fault, or
        may be: no process can be started, the file cannot be opened, the clock ran out without the CPU having been
        used, the system killed the process twice, the file cannot be read. Raises Defect when the operation is wrong.
        """
        name = operation.__name__
        work = Work(name, operation_name(operation), job, result, count_cpu or _uncounted)
        try:
            with (
                tracing.span(f"decoder {name}"),
                metrics.IMAGING_SECONDS.labels(name).time(),
                _opened(original) as descriptor,
            ):
                found = await self._attempts(work, descriptor)
        except ImageError as error:
            metrics.IMAGING_JOBS.labels(name, error.fault).inc()
            raise
        except (Transient, Defect) as error:
            metrics.IMAGING_JOBS.labels(name, type(error).__name__.lower()).inc()
            raise
        metrics.IMAGING_JOBS.labels(name, "ok").inc()
        return found

    async def _attempts(self, work: Work[R], descriptor: int | None) -> tuple[R, list[bytes]]:
        try:
            return await self._once(work, descriptor)
        except Died as first:
            self._raise_what_lasts(first)
        return await self._again(work, descriptor)

    async def _again(self, work: Work[R], descriptor: int | None) -> tuple[R, list[bytes]]:
        try:
            return await self._once(work, descriptor)
        except Died as second:
            self._raise_what_lasts(second)
            if second.code in _OF_THE_SYSTEM:
                raise Transient("the system killed its decoder twice; is there too little memory?") from second
            raise ImageError(FailureClass.CRASHED, f"its decoder crashed twice ({second.why})") from second

    def _raise_what_lasts(self, died: Died) -> None:
        """Raises where the same would happen in another process."""
        if died.code == -signal.SIGXCPU:
            raise _too_slow(self.limits.cpu_seconds, "of CPU time") from died
        if died.code == -signal.SIGBUS:
            # The file is read as memory, where this is the answer to a page that cannot be had.
            raise Transient("its file could not be read to the end; does its disk fail, or did it change?") from died

    async def _once(self, work: Work[R], descriptor: int | None) -> tuple[R, list[bytes]]:
        asked = perf_counter()
        process = await self._idle.get()
        tracing.record("wait for a decoder", perf_counter() - asked)
        well = False
        self._busy.inc()
        try:
            process = process or await self._processes.start()
            before = process.cpu_seconds()
            try:
                async with asyncio.timeout(self.limits.wall_seconds):
                    reply = await process.call(work.operation, pickle.dumps(work.job), descriptor)
                    found = work.result_of(reply)  # before the blobs: what cannot be an answer is not taken
                    blobs = process.take_blobs(reply.blobs)
            except TimeoutError as error:
                raise self._out_of_time(process.cpu_seconds() - before) from error
            except MemoryError as error:
                raise Transient("the service has no memory for what its decoder answered") from error
            taken = max(0.0, process.cpu_seconds() - before)
            metrics.IMAGING_CPU.labels(work.name).inc(taken)
            work.count_cpu(taken)
            self.cpu_seconds += taken
            well = True
            return found, blobs
        finally:
            # Nothing is awaited here: a second cancellation would find the slot in nobody's hands.
            self._busy.dec()
            if process is None:
                self._idle.put_nowait(None)
            else:
                self._give_back(process, well=well)

    def _give_back(self, process: DecodingProcess, *, well: bool) -> None:
        """Let the next job have the process if its job ended well, and it may do more; else another in its place."""
        if not well:
            metrics.IMAGING_DEATHS.inc()
        worn = process.jobs == self.limits.decoder_jobs  # never, where that is 0
        if well and not worn and not process.is_crowded():
            self._idle.put_nowait(process)
        else:
            self._processes.replace(process, then=self._idle.put_nowait)

    def _out_of_time(self, cpu_seconds: float) -> ImageError | Transient:
        wall = self.limits.wall_seconds
        if cpu_seconds >= wall * _SHARE_OF_CPU:
            return _too_slow(wall, "by the clock")
        return Transient(f"it took longer than {wall:g} s beside other work, and got {cpu_seconds:.1f} s of CPU time")


@contextmanager
def _opened(original: Path | None) -> Iterator[int | None]:
    """A descriptor of the file. Raises Transient where it cannot be opened."""
    if original is None:
        yield None
        return
    try:
        file = original.open("rb", buffering=0)
    except OSError as error:
        raise Transient(f"its decoder cannot be given its file: {error}") from error
    with file:
        yield file.fileno()


def _too_slow(seconds: float, of_what: str) -> ImageError:
    return ImageError(FailureClass.TIMEOUT, f"it took longer than {seconds:g} s {of_what}")
