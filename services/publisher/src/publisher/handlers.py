"""What happens on a request to activate, and when thumbnails are ready."""

import asyncio

import structlog

from common.errors import BusFault, NoSuchKey
from common.images.names import ImageKey
from common.images.records import Stage
from common.images.sizes import Crop
from common.messaging.events import (
    ActivatedData,
    ActivationRequested,
    ImageActivated,
    ThumbnailsFailed,
    ThumbnailsReady,
    ThumbnailsRequested,
)
from common.storage.image_store import bucket_of, is_deleted, is_public, read_crop, read_record
from publisher.activation import (
    PublisherContext,
    announce_thumbnails,
    crop_asked_for,
    is_anything_left,
    move_original,
    move_thumbnails,
    owe_crop,
    remove_if_deleted,
    request_cropped,
)
from publisher.errors import ImageExpired, ImageFailed, ImageUnknown

log = structlog.get_logger()

_CONFIRM = 2.0  # seconds that the broker has to take a request whose answer waits for it


async def activate(image: ImageKey, *, context: PublisherContext, crop: Crop | None = None) -> None:
    """Make the image public; one that is already is settled once more. Raises Unknown, Expired, Failed, Transient.

    With a crop, which must lie within the image, its versions are made to show that part. Returns once the move is
    durable, and so is the request for what the crop shows: without a broker a crop is refused.
    """
    buckets = context.buckets
    if await is_deleted(image, buckets=buckets):
        await remove_if_deleted(image, context=context)
        raise ImageUnknown(f"{image} was deleted")
    again = await is_public(image, buckets=buckets)
    if not again:
        await _check(image, context=context)
    if crop is not None:
        await _owe_crop(image, crop, context)
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
        await _ask(request, crop, context)
    event = ImageActivated(source="/publisher", subject=image)
    log.info("image was active already" if again else "image activated", image=str(image), emits=event.id)
    await context.outbox.send(event)


async def _check(image: ImageKey, *, context: PublisherContext) -> None:
    """Whether an image that is not public yet may become so."""
    original = await context.buckets.incoming.stat(str(image))
    if original is None:
        return  # unknown, or being moved at this moment: moving it will tell
    if original.age > context.ttl:
        raise ImageExpired(f"{image} was uploaded more than {context.ttl:g} s ago and not activated in time")
    record = await read_record(context.buckets.incoming, image, Stage.BASE)
    if record is not None and record.failed is not None:
        raise ImageFailed(f"{image} cannot be shown: {record.failed.reason}")


async def _owe_crop(image: ImageKey, crop: Crop, context: PublisherContext) -> None:
    buckets = context.buckets
    # Other images of this name, with another extension, have the same crop: it is only written for one that exists.
    if await bucket_of(image, buckets=buckets) is None:
        raise _unknown(image)
    if (trouble := context.bus.trouble()) is not None:
        raise BusFault(f"what the crop shows cannot be asked for: {trouble}")
    await owe_crop(image, crop, buckets=buckets)


async def _ask(request: ThumbnailsRequested, crop: Crop | None, context: PublisherContext) -> None:
    """Ask for what the crop shows; where it is this request's own, return once the broker has that."""
    if crop is None:
        await context.outbox.send(request)
        return
    try:
        async with asyncio.timeout(_CONFIRM):
            await context.bus.publish(request)
    except TimeoutError as error:
        raise BusFault("the broker did not confirm in time that what the crop shows is asked for") from error
    await crop_asked_for(request.subject, crop.geometry.text.encode(), buckets=context.buckets)


def _unknown(image: ImageKey) -> ImageUnknown:
    return ImageUnknown(f"{image} is not known: expected the name that an upload was answered with")


async def activation_requested(event: ActivationRequested, *, context: PublisherContext) -> None:
    """Somebody asked by event: the same as by HTTP, without anyone waiting for thumbnails."""
    await activate(event.subject, context=context)


async def thumbnails_settled(event: ThumbnailsReady | ThumbnailsFailed, *, context: PublisherContext) -> None:
    """Thumbnails, or the record of why there are none, that came after their original went public follow it."""
    image = event.subject
    moved: set[str] = set()
    request = None
    public = await is_public(image, buckets=context.buckets)
    if public and not await _is_in_place(event, context):
        moved = await move_thumbnails(image, context=context)
        if (request := await request_cropped(image, context=context)) is not None:
            await context.bus.publish(request)
    deleted = await remove_if_deleted(image, context=context, moved=moved)
    if public and request is None and not deleted:
        data, failed = event.data, event.data.failed if isinstance(event, ThumbnailsFailed) else None
        activated = ActivatedData(stage=data.stage, configuration=data.configuration, crop=data.crop, failed=failed)
        await announce_thumbnails(image, activated, context=context)


async def _is_in_place(event: ThumbnailsReady | ThumbnailsFailed, context: PublisherContext) -> bool:
    """Whether these show the crop, and nothing else waits in *incoming*: to ask for them again would never end.

    It is the crop that counts, and not the settings: a resizer's may differ from this service's.
    """
    image, buckets = event.subject, context.buckets
    crop = await read_crop(buckets.active, image)
    if crop is None:
        return False
    shown = event.data.crop
    if not event.data.tells_crop:
        record = await read_record(buckets.active, image, Stage.BASE)
        shown = None if record is None else record.crop
    if shown != crop.geometry.text:
        return False
    return not await is_anything_left(image, context=context)
