"""Seeing to it that nothing is left of what was deleted: the second half of rule 5 of the bucket protocol.

A deletion removes what is known by name. What it did not know of, what it could not remove because its process died or
the store failed, and what a process brought that died before it could look for the tombstone, is found here: by one
listing of each bucket for all tombstones together. A tombstone is empty until such a listing, begun longer after the
deletion than anything may be in hand, has found nothing of the image. It is then marked, and only looked at again by
`clean`.

Tombstones are kept for ever. An original may be brought by a migration long after it was deleted, and nothing else
would say so.
"""

from collections.abc import AsyncGenerator

import structlog

from common.images.names import TOMBSTONES, image_name_of
from common.images.plan import Plan
from common.storage.base import Buckets, Storage
from common.storage.image_store import is_deleted
from publisher.maintenance.listing import ListedImage, with_pauses
from publisher.maintenance.repairs import any_key, finish_deletion

log = structlog.get_logger()

NOTHING_LEFT = b"nothing is left\n"  # the content of a tombstone whose image is known to be gone
_TOGETHER = 10_000  # tombstones that are looked for in one listing


async def unverified(buckets: Buckets, *, marked: bool, name: str | None = None) -> AsyncGenerator[ListedImage, None]:
    """Tombstones of which something is left, and those that are not marked; of this one image if there is a `name`.

    `age` is the tombstone's, `others` are the objects that are left. With `marked`, something is looked for of marked
    ones, too. Raises StorageFault.
    """
    deleted: dict[str, ListedImage] = {}
    settled: set[str] = set()
    async for entry in with_pauses(buckets.incoming.entries(f"{TOMBSTONES}{name or ''}")):
        found = ListedImage(entry.key.removeprefix(TOMBSTONES), entry.age)
        if image_name_of(str(any_key(found.name))) != found.name or name not in (None, found.name):
            continue
        if entry.bytes and not marked:
            continue
        deleted[found.name] = found
        if entry.bytes:
            settled.add(found.name)
        if len(deleted) == _TOGETHER:
            async for left in _look_for(deleted, settled, buckets):
                yield left
            deleted, settled = {}, set()
    async for left in _look_for(deleted, settled, buckets):
        yield left


async def _look_for(
    deleted: dict[str, ListedImage], settled: set[str], buckets: Buckets
) -> AsyncGenerator[ListedImage, None]:
    if not deleted:
        return
    for bucket in _both(buckets):
        async for entry in with_pauses(bucket.objects_of(deleted)):
            name = image_name_of(entry.key)
            assert name is not None
            deleted[name].others.add(entry.key)
    for found in deleted.values():
        if found.others or found.name not in settled:
            yield found


async def remaining_objects(found: ListedImage, *, buckets: Buckets) -> set[str]:
    """What is still there of a deleted image, of what a listing showed; nothing where there is no tombstone."""
    if not found.others or not await is_deleted(any_key(found.name), buckets=buckets):
        return set()
    return {key for key in found.others for bucket in _both(buckets) if await bucket.stat(key) is not None}


async def settle(found: ListedImage, left: set[str], *, buckets: Buckets, plan: Plan, after: float) -> None:
    """Remove what is left; mark a tombstone where a listing that began `after` seconds after it has found nothing.

    Raises Transient.
    """
    image = any_key(found.name)
    if left:
        log.warning("something was left of a deleted image: removing it", image=found.name, keys=sorted(left))
        await finish_deletion(image, found.others, buckets=buckets, plan=plan)
    elif not found.others and found.age > after:
        entry = await buckets.incoming.stat(image.tombstone)
        if entry is not None and not entry.bytes and entry.age > after:  # not written anew since
            await buckets.incoming.put(image.tombstone, NOTHING_LEFT)


def _both(buckets: Buckets) -> tuple[Storage, Storage]:
    return buckets.incoming, buckets.active
