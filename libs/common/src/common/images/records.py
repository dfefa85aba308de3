"""Records: what a stage of rendering made of an original, or why it could not.

A record is written after everything it lists, so that whoever sees it may rely on all of it. It never speaks for
another stage's files, and never carries where a photo was taken.
"""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from common.errors import FailureClass
from common.images.names import ImageKey


class Stage(StrEnum):
    """Which variants a record speaks for."""

    BASE = "base"
    MODERN = "modern"


RECORD_ENDINGS = {Stage.BASE: ".json", Stage.MODERN: ".modern.json"}


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Failure(_Model):
    """Why there are no variants. `fault` is an ImageFault, or one of a newer version."""

    fault: str = Field(serialization_alias="class", validation_alias="class")
    reason: str

    model_config = ConfigDict(frozen=True, extra="ignore", validate_by_name=True, serialize_by_alias=True)


class OriginalInfo(_Model):
    """What was uploaded, in pixels as they are shown (EXIF orientation applied), and bytes."""

    key: ImageKey
    width: int
    height: int
    frames: int
    bytes: int


class Variant(_Model):
    """One smaller version."""

    key: str
    format: str
    width: int
    height: int
    bytes: int


class Record(_Model):
    """One stage's record. `configuration` is the hash of the sizes it was made for.

    `crop` is the part of the upright original that the variants show, as a geometry. `damaged` says that the original's
    decoder complained, and the variants show what it could make out. `thumbhash` is base64
    (https://evanw.github.io/thumbhash/), `colour` the average as `#rrggbb`.
    """

    version: int = 1
    stage: Stage = Stage.BASE
    configuration: str
    original: OriginalInfo | None = None
    variants: tuple[Variant, ...] = ()
    failed: Failure | None = None
    damaged: bool = False
    crop: str | None = None
    thumbhash: str | None = None
    colour: str | None = None

    @property
    def is_final(self) -> bool:
        """Whether rendering again would change nothing: it succeeded, or failed for a reason that lies in the image."""
        return self.failed is None or self.failed.fault != FailureClass.GAVE_UP


def record_key(image: ImageKey, stage: Stage) -> str:
    """Where the stage's record is kept, beside the original."""
    return f"{image.name}{RECORD_ENDINGS[stage]}"


def encode_record(record: Record) -> bytes:
    """The record as it is stored."""
    return record.model_dump_json(indent=1, exclude_none=True).encode() + b"\n"


def decode_record(body: bytes) -> Record:
    """The stored record. Raises ValueError for one that cannot be read."""
    return Record.model_validate_json(body)
