"""Deleting images (docs/bucket-protocol.md#tombstone-first).

The tombstone is written first. Then every key of the image that is known by name is removed from both buckets: by its
records, today's sizes, and the suffixes and endings of the old backends. No request lists a bucket. The next sweep
removes what only a listing finds, and what a crash or a failing store left (`maintenance/tombstones.py`).
"""

from collections.abc import Iterable
from functools import partial

import structlog

from common.cancellation import together
from common.images.names import ImageKey
from common.images.plan import Plan
from common.messaging.events import ImageDeleted
from common.messaging.outbox import Outbox
from common.storage.base import Buckets
from common.storage.image_store import write_tombstone
from publisher.removal import delete_everywhere, known_keys, run_limited

log = structlog.get_logger()


async def delete(*images: ImageKey, buckets: Buckets, plan: Plan, outbox: Outbox) -> None:
    """Remove all of the images, of every format. Unknown ones are fine.

    Raises StorageFault where something could not be removed. The sweep removes it later if the tombstone was written.
    """
    await run_limited(partial(write_tombstone, image, buckets=buckets) for image in images)
    try:
        await remove_deleted(*images, buckets=buckets, plan=plan)
    finally:
        # An image with a tombstone is deleted, whatever is left of it.
        await announce_deleted(*images, outbox=outbox)


async def announce_deleted(*images: ImageKey, outbox: Outbox) -> None:
    """Say that these images, which have a tombstone, are deleted."""
    events = [ImageDeleted(source="/publisher", subject=image) for image in images]
    await together(*(outbox.send(event) for event in events))


async def remove_deleted(*images: ImageKey, buckets: Buckets, plan: Plan, listed: Iterable[str] = ()) -> None:
    """Remove what is left of images that have a tombstone; `listed` are keys of theirs that a listing has shown.

    Raises StorageFault naming what could not be removed.
    """
    keys = set(listed)

    async def find(image: ImageKey) -> None:
        keys.update(await known_keys(image, buckets=buckets, plan=plan))

    await run_limited(partial(find, image) for image in images)
    await delete_everywhere(keys, buckets=buckets)
    for image in images:
        log.info("image deleted", image=str(image))
