"""Deleting images (docs/bucket-protocol.md#tombstone-first).

The tombstone is written first. Then every key of the image that is known by name is removed from both buckets: by its
records, today's sizes, and the suffixes and endings of the old backends. No request lists a bucket. The next sweep
removes what only a listing finds, and what a crash or a failing store left (`maintenance/tombstones.py`).
"""

from collections.abc import Iterable
from functools import partial

import structlog

from common.cancellation import together
from common.errors import StorageFault
from common.images.names import ImageKey
from common.images.plan import Plan
from common.images.records import Stage, record_key
from common.messaging.events import ImageDeleted
from common.messaging.outbox import Outbox
from common.storage.base import Buckets
from common.storage.image_store import write_tombstone
from publisher.removal import find_known_keys, remove_everywhere, run_steps, until_store_is_away

log = structlog.get_logger()


async def delete_images(*images: ImageKey, buckets: Buckets, plan: Plan, outbox: Outbox) -> None:
    """Remove all of the images, of every format. Unknown ones are fine.

    An image whose tombstone cannot be written stays as it is, and the others are deleted. Raises StorageFault then, and
    where something could not be removed: the sweep removes it later.
    """
    deleted: list[ImageKey] = []
    refused: list[StorageFault] = []

    async def mark(image: ImageKey) -> None:
        try:
            await write_tombstone(image, buckets=buckets)
        except StorageFault as fault:
            refused.append(fault)
        else:
            deleted.append(image)

    await run_steps(until_store_is_away((partial(mark, image) for image in images), refused))
    try:
        await remove_rest_of(*deleted, buckets=buckets, plan=plan)
    finally:
        # An image with a tombstone is deleted, whatever is left of it.
        await announce_deletion(*deleted, outbox=outbox)
    if refused:
        raise refused[0]


async def announce_deletion(*images: ImageKey, outbox: Outbox) -> None:
    """Say that these images, which have a tombstone, are deleted."""
    events = [ImageDeleted(source="/publisher", subject=image) for image in images]
    await together(*(outbox.send(event) for event in events))


async def remove_rest_of(*images: ImageKey, buckets: Buckets, plan: Plan, listed: Iterable[str] = ()) -> None:
    """Remove what is left of images that have a tombstone; `listed` are keys of theirs that a listing has shown.

    A record that cannot be read stops no removal, and is kept: it may list variants that the name does not tell, and
    the next attempt removes them. Raises StorageFault naming what could not be removed, or read.
    """
    keys = set(listed)
    unread: list[StorageFault] = []

    async def find(image: ImageKey) -> None:
        try:
            keys.update(await find_known_keys(image, buckets=buckets, plan=plan))
        except StorageFault as fault:
            unread.append(fault)
            keys.update(plan.keys_by_name(image) - {record_key(image, stage) for stage in Stage})

    await run_steps(until_store_is_away((partial(find, image) for image in images), unread))
    await remove_everywhere(keys, buckets=buckets)
    if unread:
        raise unread[0]
    for image in images:
        log.info("image deleted", image=str(image))
