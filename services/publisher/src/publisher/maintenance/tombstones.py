"""Finishing deletions (docs/bucket-protocol.md#sweep-finds-the-rest).

What is left of deleted images is found by listings: in folders one of each bucket for many unverified tombstones, on S3
one of each bucket for each tombstone. A tombstone is empty until such a listing finds nothing of its image, later after
the deletion than any handler may still work on it. Then the tombstone is marked as verified. Only `clean` looks at it
again.
"""

from collections.abc import AsyncGenerator

import structlog

from common.images.names import TOMBSTONES, image_name_of
from common.images.plan import Plan
from common.storage.base import Buckets, Storage
from common.storage.image_store import is_deleted
from publisher.maintenance.listing import ListedImage, with_pauses
from publisher.maintenance.repairs import finish_deletion, key_of_any_format

log = structlog.get_logger()

NOTHING_LEFT = b"nothing is left\n"  # the content of a tombstone whose image is known to be gone
_TOGETHER = 10_000  # tombstones that are looked for in one listing


async def unverified(
    buckets: Buckets, *, verified_too: bool, name: str | None = None
) -> AsyncGenerator[ListedImage, None]:
    """Tombstones that are unverified or have something left of their image; with a `name`, that image's alone.

    `age` is the tombstone's, `others` are the objects that are left. With `verified_too`, verified tombstones are
    looked at, too. Raises StorageFault.
    """
    deleted: dict[str, ListedImage] = {}
    verified: set[str] = set()
    async for entry in with_pauses(buckets.incoming.entries(f"{TOMBSTONES}{name or ''}")):
        found = ListedImage(entry.key.removeprefix(TOMBSTONES), entry.age)
        if image_name_of(str(key_of_any_format(found.name))) != found.name or name not in (None, found.name):
            continue
        if entry.bytes and not verified_too:
            continue
        deleted[found.name] = found
        if entry.bytes:
            verified.add(found.name)
        if len(deleted) == _TOGETHER:
            async for left in _look_for(deleted, verified, buckets):
                yield left
            deleted, verified = {}, set()
    async for left in _look_for(deleted, verified, buckets):
        yield left


async def _look_for(
    deleted: dict[str, ListedImage], verified: set[str], buckets: Buckets
) -> AsyncGenerator[ListedImage, None]:
    if not deleted:
        return
    for bucket in _both(buckets):
        async for entry in with_pauses(bucket.objects_of(deleted)):
            name = image_name_of(entry.key)
            assert name is not None
            deleted[name].others.add(entry.key)
    for found in deleted.values():
        if found.others or found.name not in verified:
            yield found


async def remaining_objects(found: ListedImage, *, buckets: Buckets) -> set[str]:
    """Which listed objects of a deleted image are still there; none if there is no tombstone."""
    if not found.others or not await is_deleted(key_of_any_format(found.name), buckets=buckets):
        return set()
    return {key for key in sorted(found.others) for bucket in _both(buckets) if await bucket.stat(key) is not None}


async def finish(found: ListedImage, left: set[str], *, buckets: Buckets, plan: Plan, after: float) -> None:
    """Remove what is left. Mark the tombstone if a listing that began `after` seconds after it has found nothing.

    Raises Transient.
    """
    image = key_of_any_format(found.name)
    if left:
        log.warning("something was left of a deleted image: removing it", image=found.name, keys=sorted(left))
        await finish_deletion(image, found.others, buckets=buckets, plan=plan)
    elif not found.others and found.age > after:
        entry = await buckets.incoming.stat(image.tombstone_key)
        if entry is not None and not entry.bytes and entry.age > after:  # not written anew since
            await buckets.incoming.put(image.tombstone_key, NOTHING_LEFT)


def _both(buckets: Buckets) -> tuple[Storage, Storage]:
    return buckets.incoming, buckets.active
