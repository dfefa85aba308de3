"""One decoding process, as its pool sees it."""

import asyncio
import os
import resource
import secrets
import signal
import socket
import sys
from contextlib import AsyncExitStack, ExitStack, suppress
from pathlib import Path
from typing import Self

from common.sandbox.answer_memory import AnswerMemory
from common.sandbox.protocol import (
    MAX_SIDE,
    OPERATIONS,
    Call,
    Hello,
    Limits,
    Reply,
    pack,
)
from common.sandbox.replies import Replies
from common.sandbox.walls import Walls

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

# A start takes a third of a second of CPU; processes that give way may wait long for it.
START_SECONDS = 60.0

_CPU_GRACE = 1.0  # seconds of CPU time


class CannotStart(Exception):
    """A process could not be started, or ended before it could be given work. The machine is at fault."""


class Died(Exception):
    """The process ended in the middle of a job, with this return code."""

    def __init__(self, code: int | None) -> None:
        super().__init__(str(code))
        self.code = code


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
        self._overran = False  # its CPU time, in spite of SIGXCPU
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
                raise CannotStart(f"it ended before it was ready ({cause(died.code)})") from died
            undo.pop_all()
            return started

    async def call(self, operation: str, job: str, original: int | None) -> tuple[Reply, list[bytes]]:
        """Have the operation done, on the file that is open as the descriptor `original`. Raises Died."""
        call = Call(operation=operation, job=job, token=secrets.token_hex(16))
        self.jobs += 1
        if self._overran:  # while it had no job: that is not this one's doing
            raise Died(None)
        if self._watching is not None:
            self._watching.cancel()
        # It goes on after the job, for what a job may have left running.
        self._watching = asyncio.create_task(self._watch_cpu(self._allow_cpu()))
        try:
            await self._send(pack(call), original)
            reply = Reply.model_validate_json(await self._replies.next())
            if not secrets.compare_digest(reply.token.encode(), call.token.encode()):
                raise Died(None)
            return reply, self._answers.take(reply.blobs)
        except (asyncio.IncompleteReadError, OSError, ValueError) as error:  # of which ValidationError is one
            raise Died(await self._end()) from error

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

    async def _watch_cpu(self, most: int) -> None:
        """End it when it goes on in spite of SIGXCPU. A hard limit would hold for later jobs, too."""
        left = most + _CPU_GRACE - self.cpu_seconds()
        while left > 0:
            await asyncio.sleep(max(left, _CPU_GRACE))
            left = most + _CPU_GRACE - self.cpu_seconds()
        self._overran = True
        self.kill()

    def cpu_seconds(self) -> float:
        """The CPU time that it has used so far; 0 when it is gone."""
        try:
            # As bytes: the process chooses its name, which may be no text.
            fields = Path(f"/proc/{self._process.pid}/stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

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
            hello = Hello.model_validate_json(await self._replies.next())
        except (asyncio.IncompleteReadError, ValueError) as error:  # of which ValidationError is one
            raise Died(await self._end()) from error
        self.walls = hello.walls

    async def _end(self) -> int | None:
        """End the process, if it has not ended by itself. Returns its own return code, or None when it had none."""
        self._calls.close()
        # One that closed its pipes is about to end by itself, and its own code says why.
        try:
            async with asyncio.timeout(1):
                code = await self._process.wait()
                return -signal.SIGXCPU if self._overran else code
        except TimeoutError:
            self.kill()
            await self.ended()
            return None


def cause(code: int | None) -> str:
    """A return code in words."""
    if code is not None and code < 0:
        return signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    return "an answer out of form" if code is None else f"exit status {code}"
