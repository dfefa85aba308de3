"""The answers in JSON as models: services answer with them, and the OpenAPI document describes them."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from common.images.formats import Format
from common.images.names import ImageKey
from common.images.records import Record
from common.images.sizes import Size
from common.sandbox.walls import Walls


class Answer(BaseModel):
    """An answer that never changes once it is made."""

    model_config = ConfigDict(frozen=True)

    def as_json(self) -> dict[str, object]:
        """The answer without the fields that have no value."""
        return self.model_dump(mode="json", exclude_none=True)


class ErrorAnswer(Answer):
    """Every answer with a status of 400 or above, but for `/readyz`: what was wrong, and what was expected.

    `trace_id` is the request's trace, where there is one.
    """

    success: Literal[False]
    error: str = Field(examples=["expected the field 'filename', once, with the name of an upload"])
    trace_id: str | None = None


class DoneAnswer(Answer):
    """It is done."""

    success: Literal[True]


class UploadAnswer(Answer):
    """The image's name, and its base record if the answer has waited for that."""

    success: Literal[True]
    filename: ImageKey
    record: Record | None = None


class NewImageAnswer(Answer):
    """The name of the image that was made. `warning`: the store has not removed all of the old one yet."""

    success: Literal[True]
    filename: ImageKey
    warning: str | None = None


class UploadLimits(Answer):
    """The most that an upload may have: bytes, and pixels × frames."""

    bytes: int
    pixels: int


class CapabilitiesAnswer(Answer):
    """The version of the service, and the formats that it was seen to read and write.

    `walls` says whether Landlock and seccomp confine its decoders. It is null before a decoder has started. `modern`
    are the formats that variants are made in besides the original's. `sizes` are those of RESIZING_CONFIG.
    """

    version: str
    reads: list[Format]
    writes: list[Format]
    walls: Walls | None
    modern: list[Format]
    limits: UploadLimits
    sizes: tuple[Size, ...]


class ActivityAnswer(Answer):
    """What the machine is doing now.

    `renderings_waiting` is null while the broker is away. The two of the decoders are null where they are another
    process's. `photos_per_second` were rendered in the last ten seconds.
    """

    renderings_waiting: int | None
    decoders_busy: int | None
    decoders: int | None
    photos_per_second: float


class LiveAnswer(Answer):
    """The process lives."""

    alive: Literal[True]


class ReadyAnswer(Answer):
    """Whether the service can work, and the state of what it needs: `ok`, or a sentence.

    `events`: whether it takes events. When it starts, it takes none before the store has answered. `stopping`: it ends.
    """

    ready: bool
    storage: str
    broker: str
    decoders: str
    events: str
    stopping: Literal[True] | None = None
