"""What is stored of an image: its original, the records, the crop and the tombstone (`docs/bucket-protocol.md`)."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

import structlog

from common.cancellation import together
from common.errors import KeyTaken, NoSuchKey
from common.images.formats import ORIGINALS
from common.images.names import ImageKey
from common.images.plan import Plan
from common.images.records import Record, Stage, decode_record, encode_record, record_key
from common.images.sizes import Crop
from common.storage.base import Buckets, Storage

log = structlog.get_logger()

POLL = 0.05  # seconds between two looks for a record that is awaited


async def is_deleted(image: ImageKey, *, buckets: Buckets) -> bool:
    """Whether the image has a tombstone. Raises StorageFault."""
    return await buckets.incoming.stat(image.tombstone_key) is not None


async def write_tombstone(image: ImageKey, *, buckets: Buckets) -> None:
    """Write the tombstone: from now on the image is deleted, whatever is left of it. Raises StorageFault."""
    await buckets.incoming.put(image.tombstone_key, b"")


async def is_public(image: ImageKey, *, buckets: Buckets) -> bool:
    """Whether the original is in *active*. Raises StorageFault."""
    return await buckets.active.stat(str(image)) is not None


@dataclass(frozen=True)
class Original:
    """The bucket that holds an original, and how large the original is."""

    bucket: Storage
    bytes: int


async def original_of(image: ImageKey, *, buckets: Buckets) -> Original | None:
    """The image's original, or None where neither bucket holds it. Raises StorageFault.

    It looks into *incoming* first, because an activation moves the original to *active* and never back
    (`docs/bucket-protocol.md#beside-the-original`).
    """
    for bucket in (buckets.incoming, buckets.active):
        if (entry := await bucket.stat(str(image))) is not None:
            return Original(bucket, entry.bytes)
    return None


async def find_bucket(image: ImageKey, *, buckets: Buckets) -> Storage | None:
    """The bucket that holds the original, or None where neither does. Raises StorageFault."""
    original = await original_of(image, buckets=buckets)
    return None if original is None else original.bucket


async def find_original(name: str, *, buckets: Buckets) -> ImageKey | None:
    """The original of this name, of any format and in any bucket, or None where there is none. Raises StorageFault."""
    endings = [spelt for ending in ORIGINALS for spelt in (ending.lower(), ending.upper(), ending.capitalize())]
    images = [ImageKey(name, ending) for ending in endings]
    places = await together(*(find_bucket(image, buckets=buckets) for image in images))
    return next((image for image, bucket in zip(images, places, strict=True) if bucket is not None), None)


async def read_crop(active: Storage, image: ImageKey) -> Crop | None:
    """The part of the image that its variants show, or None where they show all of it. Raises StorageFault.

    A crop that cannot be read counts as none.
    """
    try:
        return Crop.parse((await active.get(image.crop_key)).decode().strip())
    except NoSuchKey:
        return None
    except ValueError as error:
        log.error("a crop cannot be read", key=image.crop_key, reason=str(error))
        return None


async def read_record(bucket: Storage, image: ImageKey, stage: Stage) -> Record | None:
    """The stage's record in this bucket, or None where there is none. Raises StorageFault.

    A record that cannot be read counts as none: the image is then rendered again, which writes a new one.
    """
    found = await read_stored_record(bucket, image, stage)
    return None if found is None else found.record


class StoredRecord(NamedTuple):
    """A record and the object's content, which may have fields of a newer version."""

    record: Record
    content: bytes


async def read_stored_record(bucket: Storage, image: ImageKey, stage: Stage) -> StoredRecord | None:
    """The stage's record with the object's content, or None as for `read_record`. Raises StorageFault."""
    key = record_key(image, stage)
    try:
        content = await bucket.get(key)
        return StoredRecord(decode_record(content), content)
    except NoSuchKey:
        return None
    except ValueError as error:
        log.error("a record cannot be read", key=key, reason=str(error).splitlines()[0])
        return None


async def write_failure(bucket: Storage, image: ImageKey, record: Record, *, over_other_settings: bool) -> Record:
    """Store the record of a failure, unless a record that is there has to stay. Returns the one that stays.

    The record of a success stays if it is of the same original and crop. With `over_other_settings` it also has to be
    of the same configuration. The record of a failure stays if it is of the same configuration, and not less final.
    docs/bucket-protocol.md#good-records-stay. Raises StorageFault.
    """
    key = record_key(image, record.stage)
    try:
        await bucket.put(key, encode_record(record), exclusive=True)
    except KeyTaken:
        there = await read_record(bucket, image, record.stage)
        if there is not None:
            same = there.configuration == record.configuration
            success = there.is_success(image, record.crop) and (same or not over_other_settings)
            if success or (same and there.failed is not None and (there.is_final or not record.is_final)):
                return there
            record = record.written_over(there, image)
        await bucket.put(key, encode_record(record))
    return record


class WrittenRecord(NamedTuple):
    """A record as it was stored. It is the `first` one if there was none before."""

    record: Record
    first: bool


async def write_record(bucket: Storage, image: ImageKey, new: StoredRecord) -> WrittenRecord:
    """Store the record of one stage, with the variants of the one that it replaces in `replaced`. Raises StorageFault.

    docs/bucket-protocol.md#replaced-variants-go
    """
    key = record_key(image, new.record.stage)
    try:
        await bucket.put(key, new.content, exclusive=True)
    except KeyTaken:
        there = await read_record(bucket, image, new.record.stage)
        record = new.record if there is None else new.record.written_over(there, image)
        await bucket.put(key, new.content if record == new.record else encode_record(record))
        return WrittenRecord(record, first=False)
    return WrittenRecord(new.record, first=True)


async def wait_for_record(
    bucket: Storage,
    image: ImageKey,
    *,
    is_wanted: Callable[[Record], bool],
    seconds: float = inf,
) -> Record | None:
    """The base stage's record, once there is one that `is_wanted`; None after `seconds`. Raises StorageFault.

    A call to the store that hangs is not cut off.
    """
    now = asyncio.get_running_loop().time
    end = now() + seconds
    while now() < end:
        record = await read_record(bucket, image, Stage.BASE)
        if record is not None and is_wanted(record):
            return record
        await asyncio.sleep(POLL)
    return None


async def remove_rendered(image: ImageKey, *, buckets: Buckets, plan: Plan) -> None:
    """Remove the plan's variants and all records from both buckets. The original stays. Raises StorageFault."""
    keys = plan.rendered_keys(image)
    await together(*(bucket.delete_all(keys) for bucket in (buckets.incoming, buckets.active)))
