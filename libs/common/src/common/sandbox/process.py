"""One decoding process, as its pool sees it."""

import asyncio
import os
import resource
import secrets
import signal
import socket
import sys
from contextlib import AsyncExitStack, ExitStack, suppress
from typing import Self

import structlog

from common.sandbox import usage
from common.sandbox.answer_memory import AnswerMemory
from common.sandbox.protocol import MAX_SIDE, OPERATIONS, Call, Hello, Limits, Reply, pack_call
from common.sandbox.replies import Replies, read_form
from common.sandbox.walls import Walls

log = structlog.get_logger()

WORKER = "common.sandbox.worker"

# All that a decoding process gets to see of the environment: no settings, so no credentials.
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "FONTCONFIG_PATH", "FONTCONFIG_FILE")
ENVIRONMENT = {
    "VIPS_CONCURRENCY": "1",  # as many processes as cores, and no threads that fight over them
    "VIPS_WARNING": "0",
    "VIPS_DISC_THRESHOLD": "100g",  # in memory or not at all: a decoding process may not write
    "VIPS_MAX_COORD": str(MAX_SIDE),
    "MALLOC_ARENA_MAX": "1",
    # Keep the memory of one photo for the next: giving it back and asking for it again costs 5 % of its rendering.
    "MALLOC_TRIM_THRESHOLD_": str(32 << 20),
    "MALLOC_MMAP_THRESHOLD_": str(8 << 20),
    "PYTHONDONTWRITEBYTECODE": "1",
}

# A start takes a tenth of a second of CPU; processes that give way may wait long for it.
START_SECONDS = 60.0

_CPU_GRACE = 1.0  # seconds of CPU time
_LOOK = 1.0  # seconds between looks at what a process uses

# Ten were the most at work: 60 variants of 12 megapixels, AVIF among them, on two cores. After a job seven were the
# most: every operation on every format and the hostile files, in one process.
_MOST_THREADS = 64
_MOST_THREADS_LEFT = 16


class CannotStart(Exception):
    """A process could not be started, or ended before it could be given work. The machine is at fault."""


class Died(Exception):
    """The process ended in the middle of a job, with this return code, or None; `why` says it in words."""

    def __init__(self, code: int | None, why: str | None = None) -> None:
        super().__init__(str(code))
        self.code = code
        self.why = why or _cause(code)


class DecodingProcess:
    """A process that has said that it can be given work."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        calls: socket.socket,
        replies: Replies,
        answers: AnswerMemory,
        limits: Limits,
    ) -> None:
        self.walls = Walls(landlock=0, seccomp=False)
        self.jobs = 0  # that it has been given so far
        self._process = process
        self._calls = calls
        self._replies = replies
        self._answers = answers
        self._limits = limits
        self._excess: Died | None = None  # why it was ended: it took more than it may
        self._watching: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, limits: Limits, niceness: int) -> Self:
        """Start one, and hear its hello. Raises CannotStart; nothing is left of it then."""
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | ENVIRONMENT
        async with AsyncExitStack() as undo:
            try:
                with ExitStack() as inherited:
                    replies, standard_output = await Replies.open()
                    undo.callback(replies.close)
                    inherited.callback(os.close, standard_output)
                    calls, standard_input = socket.socketpair()
                    undo.callback(calls.close)
                    calls.setblocking(False)
                    inherited.enter_context(standard_input)
                    answers, descriptor = inherited.enter_context(AnswerMemory.shared(limits.memory_mb << 20))
                    process = await asyncio.create_subprocess_exec(
                        sys.executable,
                        "-m",
                        WORKER,
                        str(limits.memory_mb),
                        str(niceness),
                        str(descriptor),
                        *sorted({name.partition(":")[0] for name in OPERATIONS}),
                        pass_fds=(descriptor,),
                        stdin=standard_input.fileno(),
                        stdout=standard_output,
                        env=environment,
                        # A Ctrl-C in the terminal is for us; we then end what is ours. It stays in our session, because
                        # Linux may weigh sessions against each other before it looks at niceness.
                        process_group=0,
                    )
            except (OSError, RuntimeError) as error:  # RuntimeError: no thread that waits for its end
                raise CannotStart(getattr(error, "strerror", None) or str(error)) from error
            started = cls(process, calls, replies, answers, limits)
            undo.push_async_callback(started.ended)
            undo.callback(started.kill)
            try:
                async with asyncio.timeout(START_SECONDS):
                    await started._hear_hello()
            except TimeoutError as error:
                raise CannotStart(f"it was not ready for work after {START_SECONDS:g} s") from error
            except Died as died:
                raise CannotStart(f"it ended before it was ready ({died.why})") from died
            undo.pop_all()
            return started

    async def call(self, operation: str, job: bytes, original: int | None) -> Reply:
        """Have the operation done, on the file that is open as the descriptor `original`. Raises Died."""
        call = Call(operation=operation, job=job, token=secrets.token_hex(16))
        self.jobs += 1
        if self._excess is not None:  # while it had no job: that is not this one's doing
            raise Died(None)
        if self._watching is not None:
            self._watching.cancel()
        # It goes on after the job, for what a job may have left running.
        self._watching = asyncio.create_task(self._watch(self._allow_cpu()))
        try:
            await self._send(pack_call(call), original)
            reply = read_form(Reply, await self._replies.next())
        except (asyncio.IncompleteReadError, OSError, ValueError) as error:  # of which ValidationError is one
            raise await self._end() from error
        if not secrets.compare_digest(reply.token.encode(), call.token.encode()):
            raise Died(None)
        return reply

    def take_blobs(self, sizes: list[int]) -> list[bytes]:
        """Those of the reply. Raises Died for sizes that no answer has, and MemoryError."""
        try:
            return self._answers.take(sizes)
        except ValueError as error:
            raise Died(None) from error

    async def _send(self, message: bytes, original: int | None) -> None:
        # There is room for the first bytes: the process has taken its last call. BlockingIOError where it has not.
        sent = 0 if original is None else socket.send_fds(self._calls, [message], [original])
        await asyncio.get_running_loop().sock_sendall(self._calls, message[sent:])

    def _allow_cpu(self) -> int:
        """Let the process use its seconds once more, rounded up to whole ones: the system counts from its start.

        Returns how many it may have had by then.
        """
        most = int(self.cpu_seconds()) + self._limits.cpu_seconds + 1
        with suppress(OSError):  # it is gone, and the call will tell why
            _, hard = resource.prlimit(self._process.pid, resource.RLIMIT_CPU)
            resource.prlimit(self._process.pid, resource.RLIMIT_CPU, (most, hard))
        return most

    async def _watch(self, most: int) -> None:
        """End it when it goes on in spite of SIGXCPU, or starts threads without end.

        A hard limit of CPU time would hold for later jobs, too; and one of threads (RLIMIT_NPROC) counts those of all
        processes of the user.
        """
        try:
            while self._process.returncode is None and self._excess is None:
                await asyncio.sleep(_LOOK)
                if self.cpu_seconds() > most + _CPU_GRACE:
                    self._excess = Died(-signal.SIGXCPU)
                elif (usage.threads(self._process.pid) or 0) > _MOST_THREADS:
                    self._excess = Died(None, f"it had more than {_MOST_THREADS} threads")
        except Exception:  # what is not watched has no limit
            log.exception("a decoding process cannot be watched, and is ended")
        self.kill()

    def cpu_seconds(self) -> float:
        """The CPU time that it has used so far; 0 when it is gone."""
        return usage.cpu_seconds(self._process.pid)

    def memory_bytes(self) -> int:
        """The memory that it has in use; 0 when it is gone."""
        return usage.memory_bytes(self._process.pid)

    def is_crowded(self) -> bool:
        """Whether a job has left threads running, or may have: it may be given no other."""
        threads = usage.threads(self._process.pid)
        return threads is None or threads > _MOST_THREADS_LEFT

    def kill(self) -> None:
        """End it now; `ended` tells when it is gone."""
        if self._watching is not None:
            self._watching.cancel()
        self._calls.close()
        self._replies.close()
        if self._process.returncode is None:
            self._process.kill()

    async def ended(self) -> None:
        """Return once it is gone."""
        await self._process.wait()

    async def _hear_hello(self) -> None:
        try:
            hello = read_form(Hello, await self._replies.next())
        except (asyncio.IncompleteReadError, ValueError) as error:  # of which ValidationError is one
            raise await self._end() from error
        self.walls = hello.walls

    async def _end(self) -> Died:
        """End the process, if it has not ended by itself. Returns why, with its own return code if it had one."""
        self._calls.close()
        # One that closed its pipes is about to end by itself, and its own code says why.
        try:
            async with asyncio.timeout(1):
                code = await self._process.wait()
        except TimeoutError:
            self.kill()
            await self.ended()
            return Died(None)
        return self._excess or Died(code)


def _cause(code: int | None) -> str:
    """A return code in words."""
    if code is not None and code < 0:
        return signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    return "an answer out of form" if code is None else f"exit status {code}"
