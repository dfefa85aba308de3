"""What the pool and a decoding process say to each other, over a socket and a pipe.

A message is JSON with its length before it. The blobs of an answer are in memory that both share. Nothing that comes
back from a decoding process is unpickled or trusted beyond its form: the bytes it worked on may have taken it over.
"""

import mmap
import struct
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

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


class Limits(BaseModel):
    """What one image may take: megabytes of memory, seconds of CPU, seconds by the clock, pixels × frames.

    A process is replaced after `decoder_jobs` of them; 0: never, as long as they end well. With `walls_required`,
    nothing is decoded where a wall is missing.
    """

    model_config = ConfigDict(frozen=True)

    memory_mb: int = 1024
    cpu_seconds: int = 60
    wall_seconds: float = 120
    pixels: int = 100_000_000
    decoder_jobs: int = 500
    walls_required: bool = False


class Hello(BaseModel):
    """What a process says first, once it can be given work."""

    walls: Walls


class Job(BaseModel):
    """What every operation is told; operations add fields of their own."""

    model_config = ConfigDict(frozen=True)

    limits: Limits


class Result(BaseModel):
    """What every operation answers beside its blobs; operations add fields of their own."""

    def blobs_for(self, job: Job) -> int:
        """How many blobs belong to it. Raises ValueError where it cannot be an answer to the job."""
        del job
        return 0


class Call(BaseModel):
    """One job for the process: `operation` is `module:function`, `job` the JSON of what it takes.

    `token` is random, and the reply has to repeat it: no answer can have been made before there was a call.
    """

    operation: str
    job: str
    token: str


class Reply(BaseModel):
    """The end of one job: its result as JSON, or why there is none.

    `blobs` are the sizes of the blobs in bytes, one after another in the memory that both share. `fault` and `reason`
    say what is wrong with the image, `system_error` which call of the system failed. `trace` is the stack of a defect
    of ours.
    """

    result: str | None = None
    fault: FailureClass | None = None
    reason: Annotated[str, Field(max_length=MAX_REASON)] = ""
    system_error: Annotated[str, Field(max_length=MAX_REASON)] = ""
    trace: Annotated[str, Field(max_length=MAX_TRACE)] = ""
    blobs: list[Annotated[int, Field(ge=0)]] = []
    token: str = ""


Function = TypeVar("Function", bound=Callable[..., object])
OPERATIONS: dict[str, Callable[..., Any]] = {}  # by `module:function`


def operation(function: Function) -> Function:
    """Mark an operation. A decoding process imports them at its start, and can be told to do no other."""
    OPERATIONS[operation_name(function)] = function
    return function


def nonsense() -> ImageError:
    """What to raise for an answer that no operation comes to."""
    return ImageError(FailureClass.CRASHED, "its decoder gave an answer that makes no sense")


def operation_name(function: Callable[..., object]) -> str:
    """How a call names it."""
    return f"{function.__module__}:{function.__name__}"


def pack(message: BaseModel) -> bytes:
    """The message as it is sent."""
    body = message.model_dump_json().encode()
    return LENGTH.pack(len(body)) + body
