"""Deleting an image: rule 5 of the bucket protocol. A tombstone first, so that nothing that comes late survives."""

import asyncio

import structlog

from common.images.names import ImageKey, owner
from common.storage import Buckets, Storage

log = structlog.get_logger()


async def delete(image: ImageKey, *, buckets: Buckets) -> None:
    """Remove all of the image, of every format and of earlier configurations too. One that is unknown is fine."""
    await bury(image, buckets=buckets)
    await remove_buried(image, buckets=buckets)


async def bury(image: ImageKey, *, buckets: Buckets) -> None:
    """Write the tombstone: from now on the image does not exist, whatever is left of it."""
    await buckets.incoming.put(image.tombstone, b"")


async def remove_buried(image: ImageKey, *, buckets: Buckets) -> None:
    """Remove what is left of an image that has a tombstone."""
    await asyncio.gather(*(_remove_all(image, bucket) for bucket in (buckets.incoming, buckets.active)))
    log.info("image deleted", image=str(image))


async def _remove_all(image: ImageKey, bucket: Storage) -> None:
    keys = [entry.key async for entry in bucket.entries(image.name) if owner(entry.key) == image.name]
    # The original goes first: what makes or moves the others looks for it.
    if str(image) in keys:
        keys.remove(str(image))
        await bucket.delete(str(image))
    await asyncio.gather(*(bucket.delete(key) for key in keys))
