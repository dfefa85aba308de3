"""What happens on a request to activate, and when thumbnails are ready."""

import structlog

from common.errors import NoSuchKey, Permanent
from common.events import ActivationRequested, ImageActivated, ThumbnailsFailed, ThumbnailsReady
from common.images.names import ImageKey
from common.images.records import Stage
from common.stored import read_record
from publisher.activation import (
    Activation,
    is_deleted,
    move_original,
    move_thumbnails,
    take_back_if_deleted,
)

log = structlog.get_logger()


class Unknown(Permanent):
    """There is no such image, or it was deleted."""


class Expired(Permanent):
    """The image was not activated in time."""


class Failed(Permanent):
    """The image cannot be shown; the message is the record's reason."""


async def activate(image: ImageKey, *, activation: Activation) -> None:
    """Make the image public; one that is already is settled once more. Raises Unknown, Expired, Failed.

    Returns once the move is durable.
    """
    buckets = activation.buckets
    if await is_deleted(image, buckets=buckets):
        await take_back_if_deleted(image, activation=activation)
        raise Unknown(f"{image} was deleted")
    again = await buckets.active.stat(str(image)) is not None
    if not again:
        await _check(image, activation=activation)
    try:
        await move_original(image, buckets=buckets)
    except NoSuchKey as error:
        if await buckets.active.stat(str(image)) is None:
            raise Unknown(f"{image} is not known: expected the name that an upload was answered with") from error
    await move_thumbnails(image, activation=activation)
    if await take_back_if_deleted(image, activation=activation):
        raise Unknown(f"{image} was deleted")
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
    if await activation.buckets.active.stat(str(image)) is not None:
        await move_thumbnails(image, activation=activation)
    await take_back_if_deleted(image, activation=activation)
