"""Records: which variants a stage has, or why it has none.

A record is written after all variants that it lists (docs/bucket-protocol.md#record-last), and lists those of its own
stage alone (docs/bucket-protocol.md#one-record-per-stage). Records are public, and never say where a photo was taken.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from common.errors import FailureClass
from common.images.names import ImageKey, image_name_of, is_original


class Stage(StrEnum):
    """A group of variants that is rendered together and has one record."""

    BASE = "base"
    MODERN = "modern"


RECORD_ENDINGS = {Stage.BASE: ".json", Stage.MODERN: ".modern.json"}


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Failure(_Model):
    """Why there are no variants. `fault` is a FailureClass, or one of a newer version."""

    fault: str = Field(serialization_alias="class", validation_alias="class")
    reason: str

    model_config = ConfigDict(frozen=True, extra="ignore", validate_by_name=True, serialize_by_alias=True)


class OriginalInfo(_Model):
    """The original: width and height in pixels, upright, and the size of its file in bytes."""

    key: ImageKey
    width: int
    height: int
    frames: int
    bytes: int


class Variant(_Model):
    """One variant: its key, its width and height in pixels, and its size in bytes."""

    key: str
    format: str
    width: int
    height: int
    bytes: int


class Record(_Model):
    """One stage's record. `configuration` is the stage's configuration hash.

    `crop` is the part of the upright original that the variants show, as a geometry. `damaged` says that the original
    is damaged, and that the variants show it as far as it could be decoded. `thumbhash` is base64
    (https://evanw.github.io/thumbhash/), `colour` the average as `#rrggbb`. `replaced` are keys of variants that
    earlier records listed and this one does not; some may be there still. `traceparent` names the span of the
    rendering, where that was traced.
    """

    version: int = 1
    stage: Stage = Stage.BASE
    configuration: str
    original: OriginalInfo | None = None
    variants: tuple[Variant, ...] = ()
    replaced: tuple[str, ...] = ()
    failed: Failure | None = None
    damaged: bool = False
    crop: str | None = None
    thumbhash: str | None = None
    colour: str | None = None
    traceparent: str | None = None

    @property
    def is_final(self) -> bool:
        """Whether rendering again would change nothing: it succeeded, or failed for a reason that lies in the image."""
        return self.failed is None or self.failed.fault != FailureClass.GAVE_UP

    def is_success(self, image: ImageKey, crop: str | None) -> bool:
        """Whether it lists variants of this very original, which show the crop.

        An SVG may have taken the place of a rasterised original: the record may still be the old original's.
        """
        of_image = self.original is None or self.original.key == image
        return self.failed is None and self.crop == crop and of_image

    def listed_keys(self, image: ImageKey) -> set[str]:
        """The variants that it lists, as far as they are the image's."""
        return _variants_of(image, (variant.key for variant in self.variants))

    def replaced_keys(self, image: ImageKey) -> set[str]:
        """The variants that only earlier records listed, as far as they are the image's."""
        return _variants_of(image, self.replaced)

    def written_over(self, there: "Record", image: ImageKey) -> Self:
        """The same record, with the variants of the record that is `there`, which it replaces, in `replaced`.

        Those that `there` has in `replaced` are added, too. A record of another original of the same name adds none.
        """
        if there.original is not None and there.original.key != image:
            return self
        named = there.listed_keys(image) | there.replaced_keys(image) | self.replaced_keys(image)
        return self.model_copy(update={"replaced": tuple(sorted(named - self.listed_keys(image)))})


def _variants_of(image: ImageKey, keys: Iterable[str]) -> set[str]:
    return {key for key in keys if image_name_of(key) == image.name and not is_original(key)}


def record_key(image: ImageKey, stage: Stage) -> str:
    """Where the stage's record is kept, beside the original."""
    return f"{image.name}{RECORD_ENDINGS[stage]}"


def encode_record(record: Record) -> bytes:
    """The record as it is stored."""
    return record.model_dump_json(indent=1, exclude_none=True).encode() + b"\n"


def decode_record(body: bytes) -> Record:
    """The stored record. Raises ValueError for one that cannot be read."""
    return Record.model_validate_json(body)
