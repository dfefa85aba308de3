"""Deleting images: rule 5 of the bucket protocol. A tombstone first, so that nothing that comes late survives."""

from collections.abc import Collection
from functools import partial

import structlog

from common.images.names import ImageKey, is_original
from common.storage import Buckets
from publisher.activation import remove, some_at_once

log = structlog.get_logger()


async def delete(*images: ImageKey, buckets: Buckets) -> None:
    """Remove all of the images, of every format and of earlier configurations too. Unknown ones are fine."""
    await some_at_once(partial(bury, image, buckets=buckets) for image in images)
    await remove_buried(*images, buckets=buckets)


async def bury(image: ImageKey, *, buckets: Buckets) -> None:
    """Write the tombstone: from now on the image does not exist, whatever is left of it."""
    await buckets.incoming.put(image.tombstone, b"")


async def remove_buried(*images: ImageKey, buckets: Buckets) -> None:
    """Remove what is left of images that have a tombstone."""
    names = {image.name for image in images}
    both = (buckets.incoming, buckets.active)
    await remove_whole({entry.key for bucket in both async for entry in bucket.objects_of(names)}, buckets=buckets)
    for image in images:
        log.info("image deleted", image=str(image))


async def remove_whole(keys: Collection[str], *, buckets: Buckets) -> None:
    """Remove these keys in both buckets, originals first: what makes or moves the others looks for them."""
    originals = {key for key in keys if is_original(key)}
    await remove(originals, buckets=buckets)
    await remove(set(keys) - originals, buckets=buckets)
