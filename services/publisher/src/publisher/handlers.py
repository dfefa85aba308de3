"""What happens on a request to activate, and when thumbnails are ready."""

import structlog

from common.errors import NoSuchKey
from common.events import ActivationRequested, ImageActivated, ThumbnailsFailed, ThumbnailsReady
from common.images.names import ImageKey
from common.images.records import Stage
from common.images.sizes import Crop
from common.stored import read_crop, read_record
from publisher.activation import (
    Activation,
    cropped_again,
    drop_uncropped,
    is_deleted,
    move_original,
    move_thumbnails,
    take_back_if_deleted,
)
from publisher.errors import Expired, Failed, Unknown

log = structlog.get_logger()


async def activate(image: ImageKey, *, activation: Activation, crop: Crop | None = None) -> None:
    """Make the image public; one that is already is settled once more. Raises Unknown, Expired, Failed.

    With a crop, which must lie within the image, its versions are made to show that part. Returns once the move is
    durable.
    """
    buckets = activation.buckets
    if await is_deleted(image, buckets=buckets):
        await take_back_if_deleted(image, activation=activation)
        raise Unknown(f"{image} was deleted")
    again = await buckets.active.stat(str(image)) is not None
    if not again:
        await _check(image, activation=activation)
    if crop is not None:
        # Other images of this name, with another extension, have the same crop: it is only written for one that exists.
        if all([await bucket.stat(str(image)) is None for bucket in (buckets.incoming, buckets.active)]):
            raise Unknown(f"{image} is not known: expected the name that an upload was answered with")
        await buckets.active.put(image.crop, crop.geometry.text.encode())
    try:
        await move_original(image, buckets=buckets)
    except NoSuchKey as error:
        if await buckets.active.stat(str(image)) is None:
            if crop is not None and await is_deleted(image, buckets=buckets):
                await buckets.active.delete(image.crop)
            raise Unknown(f"{image} is not known: expected the name that an upload was answered with") from error
    moved = await move_thumbnails(image, activation=activation)
    if await take_back_if_deleted(image, activation=activation, moved=moved):
        raise Unknown(f"{image} was deleted")
    if (request := await cropped_again(image, activation=activation)) is not None:
        await activation.outbox.send(request)
    event = ImageActivated(source="/publisher", subject=image)
    log.info("image was active already" if again else "image activated", image=str(image), emits=event.id)
    await activation.outbox.send(event)


async def _check(image: ImageKey, *, activation: Activation) -> None:
    """Whether an image that is not public yet may become so."""
    original = await activation.buckets.incoming.stat(str(image))
    if original is None:
        return  # unknown, or being moved at this moment: moving it will tell
    if original.age > activation.ttl:
        raise Expired(f"{image} was uploaded more than {activation.ttl:g} s ago and not activated in time")
    record = await read_record(activation.buckets.incoming, image, Stage.BASE)
    if record is not None and record.failed is not None:
        raise Failed(f"{image} cannot be shown: {record.failed.reason}")


async def activation_requested(event: ActivationRequested, *, activation: Activation) -> None:
    """Somebody asked by event: the same as by HTTP, without anyone waiting for thumbnails."""
    await activate(event.subject, activation=activation)


async def thumbnails_settled(event: ThumbnailsReady | ThumbnailsFailed, *, activation: Activation) -> None:
    """Thumbnails, or the record of why there are none, that came after their original went public follow it."""
    image = event.subject
    moved: set[str] = set()
    if await activation.buckets.active.stat(str(image)) is not None:
        crop = await read_crop(activation.buckets.active, image)
        stage, configuration = event.data.stage, event.data.configuration
        if crop is not None and configuration == activation.plan.configuration(stage, crop):
            # These are the cropped ones, and they are in place. To ask for them again would never end.
            await drop_uncropped(image, activation=activation)
        else:
            moved = await move_thumbnails(image, activation=activation)
            if (request := await cropped_again(image, activation=activation)) is not None:
                await activation.bus.publish(request)
    await take_back_if_deleted(image, activation=activation, moved=moved)
