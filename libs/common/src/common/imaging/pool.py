"""The pool of decoding processes.

One bad image costs one failure: a process that crashes, hangs or takes too much is ended and replaced, and its
neighbours go on. A crash is tried once more in a fresh process before it is held against the image, because a
process can also fall to something that is not its fault.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Self, TypeVar

import structlog
from pydantic import BaseModel, ValidationError

from common import metrics
from common.errors import ImageError, ImageFault, Transient
from common.imaging.protocol import LENGTH, MAX_BLOB, MAX_BLOBS, MAX_HEAD, Call, Job, Limits, Reply, pack

log = structlog.get_logger()

J = TypeVar("J", bound=Job)
R = TypeVar("R", bound=BaseModel)

# All that a decoding process gets to see of the environment: no settings, so no credentials.
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "FONTCONFIG_PATH", "FONTCONFIG_FILE")
ENVIRONMENT = {
    "VIPS_CONCURRENCY": "1",  # as many processes as cores, and no threads that fight over them
    "VIPS_WARNING": "0",
    "VIPS_DISC_THRESHOLD": "100g",  # in memory or not at all: a decoding process may not write
    "VIPS_MAX_COORD": "10000000",  # our own limit names the image's size, so let its header be read
    "MALLOC_ARENA_MAX": "1",
    # Keep the memory of one photo for the next: giving it back and asking for it again costs 5 % of its rendering.
    "MALLOC_TRIM_THRESHOLD_": str(32 << 20),
    "MALLOC_MMAP_THRESHOLD_": str(8 << 20),
    "PYTHONDONTWRITEBYTECODE": "1",
}


# Of processes for work that can wait: they give way to all others on the machine, and yet keep a tenth of a CPU that an
# ordinary process would have whole (Linux weighs 110 against 1,024; niceness 19, 15, and a busy machine starves it).
_NICENESS = 10


class _Died(Exception):
    """The process ended in the middle of a job, with this return code."""

    def __init__(self, code: int | None) -> None:
        super().__init__(str(code))
        self.code = code


class _Worker:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, limits: Limits, niceness: int) -> Self:
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | ENVIRONMENT
        return cls(
            await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "common.imaging.worker",
                str(limits.memory_mb),
                str(niceness),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env=environment,
                limit=MAX_HEAD,
                # A Ctrl-C in the terminal is for us; we then end what is ours. It stays in our session, because
                # Linux may weigh sessions against each other before it looks at niceness.
                process_group=0,
            )
        )

    async def call(self, call: Call) -> tuple[Reply, list[bytes]]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.writelines(pack(call, []))
            await stdin.drain()
            (length,) = LENGTH.unpack(await stdout.readexactly(LENGTH.size))
            if length > MAX_HEAD:
                raise _Died(None)
            reply = Reply.model_validate_json(await stdout.readexactly(length))
            if len(reply.blobs) > MAX_BLOBS or any(not 0 <= size <= MAX_BLOB for size in reply.blobs):
                raise _Died(None)
            return reply, [await stdout.readexactly(size) for size in reply.blobs]
        except (asyncio.IncompleteReadError, BrokenPipeError, ConnectionResetError, ValidationError) as error:
            raise _Died(await self.end()) from error

    async def end(self) -> int | None:
        """End the process, if it has not ended by itself. Returns its own return code, or None when it had none."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        # One that closed its pipes is about to end by itself, and its own code says why.
        try:
            async with asyncio.timeout(1):
                return await self._process.wait()
        except TimeoutError:
            await self.kill()
            return None

    async def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


class Pool:
    """Some processes that run one job each at a time. Each starts when it is first needed, and then stays."""

    def __init__(self, limits: Limits, niceness: int) -> None:
        self.limits = limits
        self.cpu_seconds = 0.0  # taken by all jobs that have ended well
        self._niceness = niceness
        self._idle: asyncio.LifoQueue[_Worker | None] = asyncio.LifoQueue()

    @classmethod
    @asynccontextmanager
    async def open(cls, size: int, limits: Limits, *, background: bool = False) -> AsyncIterator[Self]:
        """A pool of `size` processes at most, which are ended with the context.

        With `background` they give way to everything else.
        """
        pool = cls(limits, _NICENESS if background else 0)
        for _ in range(size):
            # The last one in is the first one out: what has just done a job is taken before what has to start.
            pool._idle.put_nowait(None)
        try:
            yield pool
        finally:
            while not pool._idle.empty():
                if (worker := pool._idle.get_nowait()) is not None:
                    await worker.kill()

    async def run(
        self, operation: Callable[[J], tuple[R, list[bytes]]], job: J, result: type[R]
    ) -> tuple[R, list[bytes]]:
        """Run the operation (a module's function) on the job in one of the processes.

        Returns its result and blobs. Raises ImageError when the image is at fault: it cannot be decoded, or has
        ended its process twice, or took more than the limits allow. Raises Transient when that need not be the image's
        fault: the clock ran out in the background, or the system killed the process twice.
        """
        name = operation.__name__
        try:
            with metrics.IMAGING_SECONDS.labels(name).time():
                reply, blobs = await self._attempts(operation, job)
            _raise_fault(reply, name)
            found = result.model_validate_json(reply.result or "")
        except ImageError as error:
            metrics.IMAGING_JOBS.labels(name, error.fault).inc()
            raise
        except ValidationError as error:
            metrics.IMAGING_JOBS.labels(name, ImageFault.CRASHED).inc()
            raise ImageError(ImageFault.CRASHED, "its decoder gave an answer that makes no sense") from error
        metrics.IMAGING_JOBS.labels(name, "ok").inc()
        metrics.IMAGING_CPU.labels(name).inc(reply.cpu_seconds)
        self.cpu_seconds += reply.cpu_seconds
        return found, blobs

    async def _attempts(self, operation: Callable[[J], tuple[R, list[bytes]]], job: J) -> tuple[Reply, list[bytes]]:
        call = Call(
            operation=f"{operation.__module__}:{operation.__name__}",
            job=job.model_dump_json(),
            cpu_seconds=self.limits.cpu_seconds,
        )
        try:
            return await self._once(call)
        except _Died as first:
            if first.code == -signal.SIGXCPU:
                raise _too_slow(self.limits.cpu_seconds, "of CPU time") from first
        try:
            return await self._once(call)
        except _Died as second:
            if second.code == -signal.SIGXCPU:
                raise _too_slow(self.limits.cpu_seconds, "of CPU time") from second
            if second.code == -signal.SIGKILL:
                # No image can bring that about under the limits: a machine or a container that has no memory left can.
                raise Transient("the system killed its decoder twice; is there too little memory?") from second
            raise ImageError(ImageFault.CRASHED, f"its decoder crashed twice ({_cause(second.code)})") from second

    async def _once(self, call: Call) -> tuple[Reply, list[bytes]]:
        worker = await self._idle.get()
        healthy = False
        try:
            worker = worker or await _Worker.start(self.limits, self._niceness)
            async with asyncio.timeout(self.limits.wall_seconds):
                answer = await worker.call(call)
            healthy = answer[0].fault is not ImageFault.MEMORY
        except TimeoutError as error:
            if self._niceness:
                # It gave way to others: that is no fault of the image.
                raise Transient(f"it took longer than {self.limits.wall_seconds:g} s beside other work") from error
            raise _too_slow(self.limits.wall_seconds, "by the clock") from error
        else:
            return answer
        finally:
            if not healthy and worker is not None:
                metrics.IMAGING_DEATHS.inc()
                await asyncio.shield(worker.kill())
            self._idle.put_nowait(worker if healthy else None)


def _raise_fault(reply: Reply, operation: str) -> None:
    if reply.trace:
        log.error("a decoding process met a defect", operation=operation, trace=reply.trace)
    if reply.fault is not None:
        raise ImageError(reply.fault, reply.reason)


def _too_slow(seconds: float, of_what: str) -> ImageError:
    return ImageError(ImageFault.TIMEOUT, f"it took longer than {seconds:g} s {of_what}")


def _cause(code: int | None) -> str:
    if code is not None and code < 0:
        return signal.Signals(-code).name
    return "an answer out of form" if code is None else f"exit status {code}"
