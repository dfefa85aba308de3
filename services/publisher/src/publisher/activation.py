"""Activating an image: moving it from *incoming* to *active*.

The order of the steps makes it safe against every other handler, and against a crash after any step:
docs/bucket-protocol.md#activation and docs/bucket-protocol.md#crop. `activate` takes them all; handlers and maintenance
take some of them.
"""

import asyncio
from collections.abc import Collection, Iterable

import structlog

from common.cancellation import together
from common.errors import BusFault, NoSuchKey, StorageFault
from common.images.names import ImageKey
from common.images.records import RECORD_ENDINGS, Stage, record_key
from common.images.sizes import Crop
from common.messaging.events import ActivatedData, ImageActivated, ThumbnailsActivated, ThumbnailsRequested
from common.storage.base import Buckets
from common.storage.image_store import bucket_of, is_deleted, is_public, read_crop, read_record
from publisher.context import PublisherContext
from publisher.errors import ImageExpired, ImageFailed, ImageUnknown
from publisher.removal import delete_everywhere, known_keys

log = structlog.get_logger()

_CONFIRM = 2.0  # seconds that the broker has to confirm an event before the command is answered


async def activate(image: ImageKey, *, context: PublisherContext, crop: Crop | None = None) -> None:
    """Make the image public. If it is public already, finish what is left to move.

    With a crop, which must lie within the image, its variants are rendered anew to show that part. Returns when the
    image is in *active* and, with a crop, when the broker has confirmed the request to render.

    Raises ImageUnknown, ImageExpired, ImageFailed, and Transient; with a crop that includes BusFault without a broker.
    """
    buckets = context.buckets
    if await is_deleted(image, buckets=buckets):
        await remove_if_deleted(image, context=context)
        raise ImageUnknown(f"{image} was deleted")
    was_active = await is_public(image, buckets=buckets)
    if not was_active:
        await _check_activatable(image, context)
    if crop is not None:
        await _store_crop(image, crop, context)
    try:
        await move_original(image, buckets=buckets)
    except NoSuchKey as error:
        if not await is_public(image, buckets=buckets):
            await remove_if_deleted(image, context=context)
            raise _unknown(image) from error
    moved = await move_thumbnails(image, context=context)
    if await remove_if_deleted(image, context=context, moved=moved):
        raise ImageUnknown(f"{image} was deleted")
    if (request := await request_cropped(image, context=context)) is not None:
        await _send_request(request, crop, context)
    event = ImageActivated(source="/publisher", subject=image)
    log.info("image was active already" if was_active else "image activated", image=str(image), emits=event.id)
    await context.outbox.send(event)


async def _check_activatable(image: ImageKey, context: PublisherContext) -> None:
    """Raises ImageExpired or ImageFailed for an image that may not be activated."""
    original = await context.buckets.incoming.stat(str(image))
    if original is None:
        return  # unknown, or being moved by another handler: move_original finds out
    if original.age > context.ttl:
        raise ImageExpired(f"{image} was uploaded more than {context.ttl:g} s ago and not activated in time")
    record = await read_record(context.buckets.incoming, image, Stage.BASE)
    if record is not None and record.failed is not None:
        raise ImageFailed(f"{image} cannot be shown: {record.failed.reason}")


async def _store_crop(image: ImageKey, crop: Crop, context: PublisherContext) -> None:
    buckets = context.buckets
    # Images of one name and different formats share one crop: it is written only if this image exists.
    if await bucket_of(image, buckets=buckets) is None:
        raise _unknown(image)
    if (trouble := context.bus.trouble()) is not None:
        raise BusFault(f"the variants that show the crop cannot be requested: {trouble}")
    await write_crop(image, crop, buckets=buckets)


async def _send_request(request: ThumbnailsRequested, crop: Crop | None, context: PublisherContext) -> None:
    """Send the request to render; where this command set the crop, wait for the broker to confirm the request."""
    if crop is None:
        await context.outbox.send(request)
        return
    try:
        async with asyncio.timeout(_CONFIRM):
            await context.bus.publish(request)
    except TimeoutError as error:
        raise BusFault("the broker did not confirm the request for the cropped variants in time") from error
    await clear_owed_crop(request.subject, crop.geometry.text.encode(), buckets=context.buckets)


def _unknown(image: ImageKey) -> ImageUnknown:
    return ImageUnknown(f"{image} is not known: expected the name that an upload was answered with")


async def move_original(image: ImageKey, *, buckets: Buckets) -> None:
    """Copy the original to *active* unless it is there, then delete it from *incoming*.

    docs/bucket-protocol.md#copy-before-delete. Raises NoSuchKey; StorageFault where both buckets are one: then nothing
    is deleted.
    """
    key = str(image)
    if await buckets.active.is_same_object(buckets.incoming, key):
        raise StorageFault(f"{key} is one object in both buckets: expected two buckets that are apart")
    if not await is_public(image, buckets=buckets):
        await buckets.active.copy_from(buckets.incoming, key)
    await buckets.incoming.delete(key)


async def move_thumbnails(image: ImageKey, *, context: PublisherContext, listed: Collection[str] = ()) -> set[str]:
    """Move each stage's variants and record from *incoming* to *active*.

    The record is moved last, and only if it was there before the variants were looked for
    (docs/bucket-protocol.md#record-before-variants). Nothing of a cropped image is moved: its variants are rendered in
    *active*, and what *incoming* has was rendered before the crop, so it is removed.

    `listed` are keys that a listing has shown in *incoming*; they may be of earlier sizes. Returns the keys that were
    looked for, those of earlier sizes that a record listed included.
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


async def _move(key: str, buckets: Buckets) -> None:
    try:
        await buckets.active.copy_from(buckets.incoming, key)
    except NoSuchKey:
        return  # it was never written, or another handler has moved it
    await buckets.incoming.delete(key)


async def is_anything_left(image: ImageKey, *, context: PublisherContext) -> bool:
    """Whether *incoming* has variants or records of the image."""
    incoming = context.buckets.incoming
    return any(await together(*(incoming.stat(key) for key in context.plan.keys(image))))


async def remove_if_deleted(image: ImageKey, *, context: PublisherContext, moved: Iterable[str] = ()) -> bool:
    """After writing, look for the tombstone (docs/bucket-protocol.md#look-for-the-tombstone-last).

    If there is one, remove all of the image that this service may have moved. `moved` are the keys that it has moved:
    the record that listed them may be gone. Returns whether there was a tombstone.
    """
    if not await is_deleted(image, buckets=context.buckets):
        return False
    log.info("image was deleted meanwhile: removing what was moved")
    known = await known_keys(image, buckets=context.buckets, plan=context.plan)
    await delete_everywhere({*moved, *known}, buckets=context.buckets)
    return True


async def write_crop(image: ImageKey, crop: Crop, *, buckets: Buckets) -> None:
    """Say which part of the image its variants have to show (docs/bucket-protocol.md#crop-first).

    The copy in *incoming* stays until the broker has confirmed the request to render: the reconciler looks there.
    """
    text = crop.geometry.text.encode()
    await buckets.incoming.put(image.crop, text)
    await buckets.active.put(image.crop, text)


async def read_owed_crop(image: ImageKey, *, buckets: Buckets) -> bytes | None:
    """The copy of the crop in *incoming*, or None. While it is there, no broker may have the request to render."""
    try:
        return await buckets.incoming.get(image.crop)
    except NoSuchKey:
        return None


async def clear_owed_crop(image: ImageKey, requested: bytes, *, buckets: Buckets) -> None:
    """Remove the copy in *incoming* once the rendering was `requested`, unless another crop was written since."""
    if await read_owed_crop(image, buckets=buckets) == requested:
        await buckets.incoming.delete(image.crop)


async def request_cropped(image: ImageKey, *, context: PublisherContext) -> ThumbnailsRequested | None:
    """After moving, look for a crop (docs/bucket-protocol.md#movers-look-for-a-crop).

    Returns the request to render again, or None without a crop. What was moved shows the whole image.
    """
    if await read_crop(context.buckets.active, image) is None:
        return None
    return ThumbnailsRequested(source="/publisher", subject=image)


async def announce_thumbnails(image: ImageKey, data: ActivatedData, *, context: PublisherContext) -> None:
    """Say that a stage of a public image is public, too.

    The event goes through the outbox: the move is done, and a broker that is away is no reason to repeat it. A crash
    loses the event; a client that waits for it also looks for itself now and then
    (docs/bucket-protocol.md#announce-afterwards).
    """
    await context.outbox.send(ThumbnailsActivated(source="/publisher", subject=image, data=data))
