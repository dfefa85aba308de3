"""What the buckets hold of one image. It is read without changing anything."""

from collections.abc import Iterator
from dataclasses import dataclass

from common.cancellation import together
from common.images.names import ImageKey, is_original
from common.images.plan import Plan
from common.images.records import Record, Stage
from common.images.sizes import Crop
from common.storage.base import Buckets, Entry, Storage
from common.storage.image_store import read_crop, read_record
from common.storage.status import Status, read_status
from publisher.audit.findings import Finding, ImageObjects, possible_findings
from publisher.audit.verification import Verification
from publisher.trace.model import FoundRecord, Place, StoredObject, Tombstone


@dataclass(frozen=True)
class StoredImage:
    """All that the buckets hold of the image. `findings` are what `reconcile` would report of it, whatever its age."""

    image: ImageKey
    status: Status
    objects: list[StoredObject]
    records: list[FoundRecord]
    crop: Crop | None
    tombstone: Tombstone | None
    findings: list[Finding]

    def keys_in(self, place: Place) -> frozenset[str]:
        """The keys in this bucket."""
        return frozenset(found.key for found in self.objects if found.bucket is place)

    def age_in(self, place: Place) -> float | None:
        """The age of the youngest object in this bucket, or None where there is none."""
        return min((found.age for found in self.objects if found.bucket is place), default=None)

    def original(self, place: Place) -> StoredObject | None:
        """The original in this bucket."""
        key = str(self.image)
        return next((found for found in self.objects if found.bucket is place and found.key == key), None)

    @property
    def other_originals(self) -> list[str]:
        """Originals of the same name with another ending, each with its bucket."""
        others = (found for found in self.objects if is_original(found.key) and found.key != str(self.image))
        return [f"{found.bucket}/{found.key}" for found in others]


async def read_image(image: ImageKey, *, buckets: Buckets, plan: Plan) -> StoredImage:
    """What the buckets hold of the image. Raises StorageFault."""
    status = await read_status(image, buckets=buckets, plan=plan)
    objects = [found for place, bucket in _places(buckets) for found in await _objects(image, place, bucket)]
    entry = await buckets.incoming.stat(image.tombstone_key)
    crop = await read_crop(buckets.active, image)
    read = [
        (place, stage, await read_record(bucket, image, stage)) for place, bucket in _places(buckets) for stage in Stage
    ]
    return StoredImage(
        image=image,
        status=status,
        objects=objects,
        records=[
            _found_record(place, record, plan.configuration(stage, crop))
            for place, stage, record in read
            if record is not None
        ],
        crop=crop,
        tombstone=_tombstone(entry),
        findings=await _findings(image, objects, deleted=entry is not None, buckets=buckets, plan=plan),
    )


def _places(buckets: Buckets) -> Iterator[tuple[Place, Storage]]:
    yield Place.INCOMING, buckets.incoming
    yield Place.ACTIVE, buckets.active


async def _objects(image: ImageKey, place: Place, bucket: Storage) -> list[StoredObject]:
    entries = [entry async for entry in bucket.objects_of([image.name])]
    found = [StoredObject(bucket=place, key=entry.key, bytes=entry.bytes, age=entry.age) for entry in entries]
    return sorted(found, key=lambda one: (not is_original(one.key), one.key))


def _found_record(place: Place, record: Record, configuration: str) -> FoundRecord:
    return FoundRecord(
        bucket=place,
        stage=record.stage,
        current_settings=record.configuration == configuration,
        variants=len(record.variants),
        crop=record.crop,
        damaged=record.damaged,
        failed=record.failed,
    )


def _tombstone(entry: Entry | None) -> Tombstone | None:
    return None if entry is None else Tombstone(age=entry.age, verified=entry.bytes > 0)


async def _findings(
    image: ImageKey, objects: list[StoredObject], *, deleted: bool, buckets: Buckets, plan: Plan
) -> list[Finding]:
    listed = ImageObjects(
        name=image.name,
        age=min((found.age for found in objects), default=0.0),
        deleted=deleted,
        incoming=frozenset(found.key for found in objects if found.bucket is Place.INCOMING),
        active=frozenset(found.key for found in objects if found.bucket is Place.ACTIVE),
        documents=frozenset(),
    )
    verification = Verification(buckets, plan)
    looks = (verification.verify(possible) for possible in possible_findings(listed, plan, named=False))
    return [finding for finding in await together(*looks) if finding is not None]
