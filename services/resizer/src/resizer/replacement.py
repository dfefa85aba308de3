"""What follows when a record is written over another one (docs/bucket-protocol.md#replaced-variants-go)."""

from common.cancellation import together
from common.images.names import ImageKey
from common.images.records import Record
from common.storage.base import Buckets, Storage
from common.storage.image_store import read_record


async def finish_replacement(image: ImageKey, record: Record, bucket: Storage, *, buckets: Buckets) -> bool:
    """Remove the public variants that the record replaced. Raises StorageFault.

    Returns False where another rendering, with other settings, has removed variants of this record, or relies on some
    that were removed here: then the image has to be rendered again.
    """
    if bucket is not buckets.active:
        return True
    if not await _all_are_there(record.listed_keys(image), bucket):
        return False
    replaced = record.replaced_keys(image)
    if not replaced or record.failed is not None:
        return True
    await bucket.delete_all(replaced)
    return not await _lists_any(replaced, image, record, bucket)


async def _all_are_there(keys: set[str], bucket: Storage) -> bool:
    return all(await together(*(bucket.stat(key) for key in sorted(keys))))


async def _lists_any(removed: set[str], image: ImageKey, written: Record, bucket: Storage) -> bool:
    """Whether the record that is there by now lists something that was removed."""
    there = await read_record(bucket, image, written.stage)
    return there is not None and not removed.isdisjoint(there.listed_keys(image))
