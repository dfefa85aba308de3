"""The events, in CloudEvents 1.0 form: immutable, versioned, and only extended.

An event says where to look; the buckets hold the truth. So events may be lost, doubled or reordered.
A field that a reader does not know is ignored, and a new field has a default, so that old and new services
can run side by side. A change that breaks readers gets a new `dataschema`. docs/events.md#versions
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Literal
from uuid import uuid4

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from common.errors import EventTooNew, Permanent
from common.images.names import ImageKey
from common.images.records import Failure, Stage
from common.tracing import trace_id_of, traceparent


class Lane(StrEnum):
    """Which queue of the resizer an event waits in: uploads, the modern formats of these, and bulk work."""

    LIVE = "live"
    FOLLOW_UP = "follow-up"
    BULK = "bulk"


def _known_lane(value: object) -> object:
    """A lane of a newer version is read as the one that never delays another."""
    return Lane.BULK if isinstance(value, str) and value not in tuple(Lane) else value


def _media_type(value: object) -> object:
    """The media type without its parameters: a charset says nothing of data that are part of a JSON text."""
    return value.partition(";")[0].strip().lower() if isinstance(value, str) else value


def _traceparent(value: object) -> object:
    return value if isinstance(value, str) and trace_id_of(value) is not None else None


class Data(BaseModel):
    """What an event carries besides its subject."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class LaneData(Data):
    """The payload of events that ask the resizer for work."""

    lane: Annotated[Lane, BeforeValidator(_known_lane)] = Lane.LIVE


class RequestData(LaneData):
    """The payload of a request: which stage's variants are to be made."""

    stage: Stage = Stage.BASE


class StageData(Data):
    """The payload of events about one stage's variants: `crop` is the part that they show, as in the record."""

    stage: Stage = Stage.BASE
    configuration: str
    crop: str | None = None

    @property
    def has_crop_field(self) -> bool:
        """Whether the sender knew of the field: resizers of earlier versions do not tell what they have rendered."""
        return "crop" in self.model_fields_set


class FailureData(StageData):
    """The payload of a failure: its class and reason, as in the record."""

    failed: Failure


class ActivatedData(StageData):
    """The payload of what is public of one stage: its variants or, with `failed`, the record of why there are none."""

    failed: Failure | None = None


class _Event(BaseModel):
    """The CloudEvents attributes. `subject` is the image's key; `source` the service that emits.

    `traceparent` names the span in which the event was made. One that is malformed is no error of the event.

    Attributes: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#context-attributes and
    https://github.com/cloudevents/spec/blob/main/cloudevents/extensions/distributed-tracing.md
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    specversion: Literal["1.0"] = "1.0"
    id: str = Field(default_factory=lambda: str(uuid4()), min_length=1)
    source: str = Field(min_length=1)
    time: datetime = Field(default_factory=lambda: datetime.now(UTC))
    subject: ImageKey
    datacontenttype: Annotated[Literal["application/json"], BeforeValidator(_media_type)] = "application/json"
    traceparent: Annotated[str | None, BeforeValidator(_traceparent)] = Field(
        default_factory=traceparent, exclude_if=lambda value: value is None
    )

    @property
    def age(self) -> float:
        """Seconds since it was made; 0 where its maker's clock is ahead. A time without a zone is in UTC."""
        made = self.time if self.time.tzinfo is not None else self.time.replace(tzinfo=UTC)
        return max(0.0, (datetime.now(UTC) - made).total_seconds())


class ImageUploaded(_Event):
    """An original is stored; its variants are to be made."""

    type: Literal["ImageUploaded"] = "ImageUploaded"
    dataschema: Literal["urn:image-backend:ImageUploaded:1"] = "urn:image-backend:ImageUploaded:1"
    data: LaneData = LaneData()


class ThumbnailsRequested(_Event):
    """A stage's variants are to be made of an original that was stored earlier."""

    type: Literal["ThumbnailsRequested"] = "ThumbnailsRequested"
    dataschema: Literal["urn:image-backend:ThumbnailsRequested:1"] = "urn:image-backend:ThumbnailsRequested:1"
    data: RequestData = RequestData()


class ThumbnailsReady(_Event):
    """A stage's variants and its record are stored."""

    type: Literal["ThumbnailsReady"] = "ThumbnailsReady"
    dataschema: Literal["urn:image-backend:ThumbnailsReady:1"] = "urn:image-backend:ThumbnailsReady:1"
    data: StageData


class ThumbnailsFailed(_Event):
    """A stage's variants cannot be made; the record says why."""

    type: Literal["ThumbnailsFailed"] = "ThumbnailsFailed"
    dataschema: Literal["urn:image-backend:ThumbnailsFailed:1"] = "urn:image-backend:ThumbnailsFailed:1"
    data: FailureData


class ActivationRequested(_Event):
    """Somebody asks for the image to be made public."""

    type: Literal["ActivationRequested"] = "ActivationRequested"
    dataschema: Literal["urn:image-backend:ActivationRequested:1"] = "urn:image-backend:ActivationRequested:1"
    data: Data = Data()


class ThumbnailsActivated(_Event):
    """A stage's variants are public that were made after the original was activated, or while it was."""

    type: Literal["ThumbnailsActivated"] = "ThumbnailsActivated"
    dataschema: Literal["urn:image-backend:ThumbnailsActivated:1"] = "urn:image-backend:ThumbnailsActivated:1"
    data: ActivatedData


class ImageExpired(_Event):
    """The image was not activated in time, and is removed."""

    type: Literal["ImageExpired"] = "ImageExpired"
    dataschema: Literal["urn:image-backend:ImageExpired:1"] = "urn:image-backend:ImageExpired:1"
    data: Data = Data()


class ImageDeleted(_Event):
    """The image is deleted, and nothing that comes late brings it back."""

    type: Literal["ImageDeleted"] = "ImageDeleted"
    dataschema: Literal["urn:image-backend:ImageDeleted:1"] = "urn:image-backend:ImageDeleted:1"
    data: Data = Data()


class ImageActivated(_Event):
    """The original is public, and so is what was there of its thumbnails."""

    type: Literal["ImageActivated"] = "ImageActivated"
    dataschema: Literal["urn:image-backend:ImageActivated:1"] = "urn:image-backend:ImageActivated:1"
    data: Data = Data()


Event = (
    ImageUploaded
    | ThumbnailsRequested
    | ThumbnailsReady
    | ThumbnailsFailed
    | ActivationRequested
    | ImageActivated
    | ThumbnailsActivated
    | ImageExpired
    | ImageDeleted
)

CONTENT_TYPE = "application/cloudevents+json"
_ADAPTER: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="type")])
# pydantic's names for a value that is none of those known here: of a type, a schema or a stage.
_UNKNOWN_VALUE = ("union_tag_invalid", "literal_error", "enum")
_LONGEST_VALUE = 60  # characters of it that are shown
_LONGEST_LINE = 400  # characters of what is wrong with one field; the message may repeat the value


def encode(event: Event) -> bytes:
    """The event as CloudEvents structured JSON."""
    return event.model_dump_json().encode()


def decode(body: bytes) -> Event:
    """The event in `body`.

    Raises EventTooNew for one with a value that is not known here, and Permanent for what is no event. Both name the
    fields that are wrong.
    """
    try:
        return _ADAPTER.validate_json(body)
    except ValidationError as error:
        found = error.errors()
        said = "; ".join(map(_said, found[:5]))
        if any(e["type"] in _UNKNOWN_VALUE for e in found):
            raise EventTooNew(f"only a newer version may understand this event: {said}") from error
        raise Permanent(f"not an event that is known here: {said}") from error


def _said(error: ErrorDetails) -> str:
    field = ".".join(map(str, error["loc"])) or "event"
    said = f"{field}: {error['msg']}"
    if error["type"] in ("literal_error", "enum"):
        said += f", not {str(error['input'])[:_LONGEST_VALUE]!r}"
    return said if len(said) <= _LONGEST_LINE else f"{said[:_LONGEST_LINE]}…"
