"""What can be wrong in the buckets: what a listing makes look wrong, and what a fresh look finds wrong."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from common.images.names import ImageKey, is_original
from common.images.plan import Plan
from common.images.records import record_key
from publisher.maintenance.repairs import key_of_any_format


class FindingClass(StrEnum):
    """The classes of findings, as they are printed."""

    NO_RECORD = "no-record"
    UNREADABLE_RECORD = "unreadable-record"
    OTHER_CROP = "other-crop"
    NO_ORIGINAL = "no-original"
    IN_BOTH = "in-both"
    NOT_MOVED = "not-moved"
    DELETED = "deleted"
    STRAY_CROP = "stray-crop"
    TEMPORARY = "temporary"
    UNKNOWN_KEY = "unknown-key"
    UNLISTED = "unlisted"
    GONE = "gone"
    NOT_PUBLIC = "not-public"
    MALFORMED = "malformed"


# What is wrong with the variants or the record of a stage: that stage is to be rendered again.
OF_STAGES = (FindingClass.NO_RECORD, FindingClass.UNREADABLE_RECORD, FindingClass.OTHER_CROP)


@dataclass(frozen=True)
class ImageObjects:
    """All that was listed under one name. `age` is in seconds, of the youngest object.

    `documents` are the originals of this name that the site's database knows.
    """

    name: str
    age: float
    deleted: bool
    incoming: frozenset[str]
    active: frozenset[str]
    documents: frozenset[str]


@dataclass(frozen=True)
class Finding:
    """What a fresh look has found wrong. `subject` is an image, a key with its bucket, or a line of the list."""

    subject: str
    kind: FindingClass
    wrong: str
    repaired: bool = False


@dataclass(frozen=True)
class PossibleFinding:
    """What may be wrong with the image, by a listing. `keys` are the objects that it concerns."""

    kind: FindingClass
    image: ImageKey
    keys: frozenset[str] = frozenset()

    def __str__(self) -> str:
        whole_name = self.kind in (FindingClass.DELETED, FindingClass.NO_ORIGINAL, FindingClass.STRAY_CROP)
        return self.image.name if whole_name else str(self.image)


def possible_findings(listed: ImageObjects, plan: Plan, *, named: bool) -> Iterator[PossibleFinding]:
    """What needs a fresh look. `named` says that the names of the site's database were given."""
    everything = listed.incoming | listed.active
    private, public = _originals(listed.incoming), _originals(listed.active)
    if listed.deleted:
        if everything:
            yield PossibleFinding(FindingClass.DELETED, key_of_any_format(listed.name), everything)
    elif private or public:
        yield from _of_originals(listed, private, public, plan)
    elif everything and not listed.documents:  # a document may still show what is left of a photo
        crop_alone = everything == {key_of_any_format(listed.name).crop_key}
        yield PossibleFinding(
            FindingClass.STRAY_CROP if crop_alone else FindingClass.NO_ORIGINAL,
            key_of_any_format(listed.name),
            everything,
        )
    if named and not listed.deleted:
        yield from (
            PossibleFinding(FindingClass.UNLISTED, image) for image in public if str(image) not in listed.documents
        )
    for image in _originals(listed.documents):
        if listed.deleted or image not in public:
            yield PossibleFinding(FindingClass.NOT_PUBLIC if image in private else FindingClass.GONE, image)


def _of_originals(
    listed: ImageObjects, private: list[ImageKey], public: list[ImageKey], plan: Plan
) -> Iterator[PossibleFinding]:
    for image in public:
        if image in private:
            yield PossibleFinding(FindingClass.IN_BOTH, image, listed.incoming)
        elif listed.incoming and not private:
            yield PossibleFinding(FindingClass.NOT_MOVED, image, listed.incoming)
    everything = listed.incoming | listed.active
    for image in sorted({*private, *public}):
        records = {record_key(image, stage) for stage in plan.stages}
        if not records <= everything:
            yield PossibleFinding(FindingClass.NO_RECORD, image)
        if records & everything:  # a listing does not tell whether they can be read
            yield PossibleFinding(FindingClass.UNREADABLE_RECORD, image)
        if image in public and image.crop_key in listed.active:
            yield PossibleFinding(FindingClass.OTHER_CROP, image)


def _originals(keys: frozenset[str]) -> list[ImageKey]:
    return sorted(ImageKey.parse(key) for key in keys if is_original(key))
