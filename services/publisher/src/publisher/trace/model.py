"""What is known of one image, as `trace --json` prints it. Ages are in seconds, by the store's own clock."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel

from common.images.names import ImageKey
from common.images.records import Failure, Stage
from common.storage.status import State


class Place(StrEnum):
    """A bucket by its name."""

    INCOMING = "incoming"
    ACTIVE = "active"


class StoredObject(BaseModel):
    """An object of the image."""

    bucket: Place
    key: str
    bytes: int
    age: float


class FoundRecord(BaseModel):
    """A record. It is of `current_settings` if rendering today, with the image's crop, would make the same variants."""

    bucket: Place
    stage: Stage
    current_settings: bool
    variants: int
    crop: str | None
    damaged: bool
    failed: Failure | None


class Tombstone(BaseModel):
    """The image was deleted. It is `verified` when a sweep has seen that nothing was left."""

    age: float
    verified: bool


class DeadEvent(BaseModel):
    """An event of the image that could not be handled. `queue` is the one whose handler failed."""

    queue: str
    id: str
    type: str | None
    reason: str
    attempts: int
    last_failure: datetime | None


class QueueState(BaseModel):
    """How many events wait in a queue, and how many wait to be retried there, of all images."""

    queue: str
    waiting: int
    retried: int


class KnownEvents(BaseModel):
    """What is known of the image's events.

    `replays` are dead letters that somebody has asked to be handled again, where that can be seen. `unknown` has a
    sentence for each thing that cannot be known, and says why.
    """

    dead_letters: list[DeadEvent] = []
    replays: list[DeadEvent] = []
    queues: list[QueueState] = []
    unknown: list[str] = []


class PendingKind(StrEnum):
    """What may be pending besides the findings of `reconcile`."""

    ACTIVATION = "activation"
    EXPIRED = "expired"
    FAILED = "failed"
    OTHER_SETTINGS = "other-settings"
    DEAD_LETTER = "dead-letter"
    OTHER_ENDING = "other-ending"


class Pending(BaseModel):
    """Something that is to be done. `kind` is a PendingKind or a FindingClass; `next` says who does it, and when."""

    kind: str
    what: str
    next: str


class Trace(BaseModel):
    """Everything known of the image. `crop_requested` is False while no broker may have the request to render it."""

    image: ImageKey
    state: State
    settled: bool
    reason: str | None
    objects: list[StoredObject]
    records: list[FoundRecord]
    crop: str | None
    crop_requested: bool | None
    tombstone: Tombstone | None
    events: KnownEvents
    pending: list[Pending]
