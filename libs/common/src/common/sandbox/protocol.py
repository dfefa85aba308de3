"""What the pool and a decoding process say to each other, over a socket and a pipe.

A message has its length before it. Calls are pickled. Answers are JSON, and their blobs are in memory that both share.
Nothing that comes back from a decoding process is unpickled or trusted beyond its form: the bytes it worked on may have
taken it over.

A process imports no pydantic, which would take as long as all the rest of its start. The service alone holds answers
against their form (replies.py).
"""

import json
import mmap
import pickle
import struct
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from common.errors import FailureClass, ImageError
from common.sandbox.walls import Walls

Original = bytes | mmap.mmap  # the file that an operation works on; a slice of it is bytes

# Bytes: twice what a hundred sizes in three formats and the longest trace take.
MAX_HEAD = 1 << 18
MAX_REASON = 500  # characters; a longer one could carry another image's bytes to whoever is told the reason
MAX_TRACE = 10_000  # characters; a pyvips.Error may quote the image
# Pixels. libvips refuses longer sides. A picture 1 pixel wide is 200 times as long in its square thumbnail, before that
# is cut out of it: only the cut is made, so that the length costs nothing.
MAX_SIDE = 100_000_000
LENGTH = struct.Struct("!I")


@dataclass(frozen=True)
class Limits:
    """What one image may take: megabytes of memory, seconds of CPU, seconds by the clock, pixels × frames.

    A process is replaced after `decoder_jobs` of them; 0: never, as long as they end well. With `walls_required`,
    nothing is decoded where a wall is missing.
    """

    memory_mb: int = 1024
    cpu_seconds: int = 60
    wall_seconds: float = 120
    pixels: int = 100_000_000
    decoder_jobs: int = 500
    walls_required: bool = False


@dataclass(frozen=True)
class Hello:
    """What a process says first, once it can be given work."""

    walls: Walls


@dataclass(frozen=True)
class Job:
    """What every operation is told; operations add fields of their own."""

    limits: Limits


@dataclass(frozen=True)
class Result:
    """What every operation answers beside its blobs; operations add fields of their own.

    One that is made with values that no image has raises ValueError.
    """

    def blobs_for(self, job: Job) -> int:
        """How many blobs belong to it. Raises ValueError where it cannot be an answer to the job."""
        del job
        return 0


@dataclass(frozen=True)
class Call:
    """One job for the process: `operation` is `module:function`, `job` what it takes, pickled.

    `token` is random, and the reply has to repeat it: no answer can have been made before there was a call.
    """

    operation: str
    job: bytes
    token: str


@dataclass(frozen=True)
class Reply:
    """The end of one job: its result as JSON, or why there is none.

    `blobs` are the sizes of the blobs in bytes, one after another in the memory that both share. `fault` and `reason`
    say what is wrong with the image, `system_error` which call of the system failed. `trace` is the stack of a defect
    of ours.
    """

    result: str | None = None
    fault: FailureClass | None = None
    reason: str = ""
    system_error: str = ""
    trace: str = ""
    blobs: list[int] = field(default_factory=list)
    token: str = ""

    def __post_init__(self) -> None:
        """Raises ValueError for texts that are too long."""
        if max(len(self.reason), len(self.system_error)) > MAX_REASON or len(self.trace) > MAX_TRACE:
            raise ValueError("a text that is too long")


Function = TypeVar("Function", bound=Callable[..., object])
OPERATIONS: dict[str, Callable[..., Any]] = {}  # by `module:function`


def operation(function: Function) -> Function:
    """Mark an operation. A decoding process imports them at its start, and can be told to do no other."""
    OPERATIONS[operation_name(function)] = function
    return function


def require_positive(*numbers: int) -> None:
    """Raises ValueError where one is not."""
    if min(numbers) < 1:
        raise ValueError(f"{min(numbers)} where 1 is the least")


def nonsense() -> ImageError:
    """What to raise for an answer that no operation comes to."""
    return ImageError(FailureClass.CRASHED, "its decoder gave an answer that makes no sense")


def operation_name(function: Callable[..., object]) -> str:
    """How a call names it."""
    return f"{function.__module__}:{function.__name__}"


def pack_call(call: Call) -> bytes:
    """The call as it is sent."""
    return _with_length(pickle.dumps(call))


def pack_answer(answer: Hello | Reply) -> bytes:
    """The answer as it is sent."""
    return _with_length(json.dumps(asdict(answer)).encode())


def _with_length(body: bytes) -> bytes:
    return LENGTH.pack(len(body)) + body
