"""Making an image public: rules 3 and 4 of the bucket protocol.

The order of the steps is what makes it safe against every other handler and a crash after any of them: write before
you read, and look for the record before the thumbnails, because a record that was seen says that all of them exist.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import structlog

from common.cancellation import together
from common.errors import NoSuchKey, StorageFault
from common.images.names import ImageKey
from common.images.plan import Plan
from common.images.records import RECORD_ENDINGS, Stage, record_key
from common.images.sizes import Crop
from common.messaging.bus import Bus
from common.messaging.events import ActivatedData, ThumbnailsActivated, ThumbnailsRequested
from common.messaging.outbox import Outbox
from common.storage.base import Buckets
from common.storage.image_store import is_deleted, is_public, read_crop, read_record
from publisher.removal import delete_everywhere, known_keys

log = structlog.get_logger()


@dataclass(frozen=True)
class PublisherContext:
    """What activating needs. `ttl` is how many seconds after the upload an image can be activated."""

    buckets: Buckets
    bus: Bus
    outbox: Outbox
    plan: Plan
    ttl: float


async def move_original(image: ImageKey, *, buckets: Buckets) -> None:
    """Copy the original to *active* if it is not there, and only then delete it from *incoming*.

    Raises NoSuchKey, and StorageFault where both buckets are one: nothing is deleted then.
    """
    key = str(image)
    if await buckets.active.is_same_object(buckets.incoming, key):
        raise StorageFault(f"{key} is one object in both buckets: expected two buckets that are apart")
    if not await is_public(image, buckets=buckets):
        await buckets.active.copy_from(buckets.incoming, key)
    await buckets.incoming.delete(key)


async def move_thumbnails(image: ImageKey, *, context: PublisherContext, listed: Collection[str] = ()) -> set[str]:
    """Move what is there of each stage, its record last, and only one that was seen before its thumbnails.

    Of a cropped image there is nothing to move: its versions are made where they belong, and what was made before it
    was cropped is removed. `listed` are keys that a listing has shown in *incoming*, also of other settings than
    today's. Returns the keys that were looked for, also those of earlier sizes that a record listed.
    """
    buckets = context.buckets
    others = set(listed) - {image.crop}
    if await read_crop(buckets.active, image) is not None:
        await together(*(buckets.incoming.delete(key) for key in context.plan.keys(image) | others))
        return others
    moved = set().union(*await together(*(_move_stage(image, stage, context) for stage in Stage)))
    for key in sorted(others, key=lambda key: key.endswith(RECORD_ENDINGS[Stage.BASE])):  # records last
        await _move(key, buckets)
    return moved | others


async def is_anything_left(image: ImageKey, *, context: PublisherContext) -> bool:
    """Whether versions or records wait in *incoming*."""
    incoming = context.buckets.incoming
    return any(await together(*(incoming.stat(key) for key in context.plan.keys(image))))


async def request_cropped(image: ImageKey, *, context: PublisherContext) -> ThumbnailsRequested | None:
    """After moving: the request to render anew, if the image has a crop by now. What was moved shows all of it."""
    if await read_crop(context.buckets.active, image) is None:
        return None
    return ThumbnailsRequested(source="/publisher", subject=image)


async def owe_crop(image: ImageKey, crop: Crop, *, buckets: Buckets) -> None:
    """From now on the image's versions have to show this part.

    Until they are asked for, a copy of the crop lies in *incoming*, where the reconciler looks.
    """
    text = crop.geometry.text.encode()
    await buckets.incoming.put(image.crop, text)
    await buckets.active.put(image.crop, text)


async def owed_crop(image: ImageKey, *, buckets: Buckets) -> bytes | None:
    """The crop in *incoming*, if there is one: its versions may not have been asked for."""
    try:
        return await buckets.incoming.get(image.crop)
    except NoSuchKey:
        return None


async def crop_asked_for(image: ImageKey, owed: bytes, *, buckets: Buckets) -> None:
    """After the request: forget that it was owed, unless another crop is owed by now."""
    if await owed_crop(image, buckets=buckets) == owed:
        await buckets.incoming.delete(image.crop)


async def _move_stage(image: ImageKey, stage: Stage, context: PublisherContext) -> set[str]:
    buckets = context.buckets
    record = await read_record(buckets.incoming, image, stage)
    known = record or await read_record(buckets.active, image, stage)
    keys = context.plan.variants(image, stage)
    keys |= {variant.key for variant in known.variants} if known else set()
    await together(*(_move(key, buckets) for key in keys))
    if record is not None:
        await _move(record_key(image, stage), buckets)
    return keys


async def remove_if_deleted(image: ImageKey, *, context: PublisherContext, moved: Iterable[str] = ()) -> bool:
    """After writing: if a tombstone is there by now, remove all of the image that this service may have moved.

    `moved` are the keys that it has: the record that listed them may be gone by now.
    """
    if not await is_deleted(image, buckets=context.buckets):
        return False
    log.info("image was deleted meanwhile: taking it back")
    known = await known_keys(image, buckets=context.buckets, plan=context.plan)
    await delete_everywhere({*moved, *known}, buckets=context.buckets)
    return True


async def announce_thumbnails(image: ImageKey, data: ActivatedData, *, context: PublisherContext) -> None:
    """Say that a stage of a public image is public, too.

    By the outbox, because it has happened already: a broker that is away is no reason to do all of it again. A process
    that dies in between tells nobody, and whoever waits for it looks for himself now and then.
    """
    await context.outbox.send(ThumbnailsActivated(source="/publisher", subject=image, data=data))


async def _move(key: str, buckets: Buckets) -> None:
    try:
        await buckets.active.copy_from(buckets.incoming, key)
    except NoSuchKey:
        return  # never written, or another handler has moved it
    await buckets.incoming.delete(key)
