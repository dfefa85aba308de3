"""Activating an image: moving it from *incoming* to *active*.

The order of the steps makes it safe against every other handler, and against a crash after any step:
docs/bucket-protocol.md#activation and docs/bucket-protocol.md#crop. `activate` takes them all; handlers and maintenance
take some of them.
"""

import asyncio
from collections.abc import Collection, Iterable
from typing import NamedTuple

import structlog

from common.cancellation import together
from common.errors import BusFault, NoSuchKey, StorageFault
from common.images.names import ImageKey, image_name_of, is_original
from common.images.records import RECORD_ENDINGS, Record, Stage, record_key
from common.images.sizes import Crop
from common.messaging.events import ActivatedData, ImageActivated, ThumbnailsActivated, ThumbnailsRequested
from common.storage.base import Buckets, Entry
from common.storage.image_store import is_deleted, is_public, read_crop, read_record
from publisher.context import PublisherContext
from publisher.errors import ImageExpired, ImageFailed, ImageUnknown
from publisher.removal import delete_everywhere, known_keys

log = structlog.get_logger()

_CONFIRM = 2.0  # seconds that the broker has to confirm an event before the command is answered


class _State(NamedTuple):
    """What the store said of an image, at about the same time."""

    deleted: bool
    public: bool
    private: Entry | None  # the original in *incoming*
    record: Record | None  # of the base stage, in *incoming*


async def activate(image: ImageKey, *, context: PublisherContext, crop: Crop | None = None) -> None:
    """Make the image public. If it is public already, finish what is left to move.

    With a crop, which must lie within the image, its variants are rendered anew to show that part. Returns when the
    image is in *active* and, with a crop, when the broker has confirmed the request to render.

    Raises ImageUnknown, ImageExpired, ImageFailed, and Transient; with a crop that includes BusFault without a broker.
    """
    state = await _look(image, context.buckets)
    if state.deleted:
        await remove_if_deleted(image, context=context)
        raise ImageUnknown(f"{image} was deleted")
    if not state.public:
        _check_activatable(image, state, context.ttl)
    if crop is not None:
        await _store_crop(image, crop, state, context)
    if not state.public:
        await _copy_original(image, context)
    moved = await move_thumbnails(image, context=context, base=state.record, original=True)
    if await remove_if_deleted(image, context=context, moved=moved.keys):
        raise ImageUnknown(f"{image} was deleted")
    if moved.cropped:
        await _send_request(ThumbnailsRequested(source="/publisher", subject=image), crop, context)
    event = ImageActivated(source="/publisher", subject=image)
    log.info("image was active already" if state.public else "image activated", image=str(image), emits=event.id)
    await context.outbox.send(event)


async def _look(image: ImageKey, buckets: Buckets) -> _State:
    return _State(
        *await together(
            is_deleted(image, buckets=buckets),
            is_public(image, buckets=buckets),
            buckets.incoming.stat(str(image)),
            read_record(buckets.incoming, image, Stage.BASE),
        )
    )


def _check_activatable(image: ImageKey, state: _State, ttl: float) -> None:
    """Raises ImageExpired or ImageFailed for an image that may not be activated."""
    if state.private is None:
        return  # unknown, or being moved by another handler: the move finds out
    if state.private.age > ttl:
        raise ImageExpired(f"{image} was uploaded more than {ttl:g} s ago and not activated in time")
    if state.record is not None and state.record.failed is not None:
        raise ImageFailed(f"{image} cannot be shown: {state.record.failed.reason}")


async def _store_crop(image: ImageKey, crop: Crop, state: _State, context: PublisherContext) -> None:
    buckets = context.buckets
    # Images of one name and different formats share one crop: it is written only if this image exists.
    if not state.public and state.private is None and not await is_public(image, buckets=buckets):
        raise _unknown(image)
    if (trouble := context.bus.trouble()) is not None:
        raise BusFault(f"the variants that show the crop cannot be requested: {trouble}")
    await write_crop(image, crop, buckets=buckets)


async def _copy_original(image: ImageKey, context: PublisherContext) -> None:
    try:
        await copy_original(image, buckets=context.buckets)
    except NoSuchKey as error:  # unknown, or moved by another handler since
        if not await is_public(image, buckets=context.buckets):
            await remove_if_deleted(image, context=context)
            raise _unknown(image) from error


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


async def copy_original(image: ImageKey, *, buckets: Buckets) -> None:
    """Copy the original to *active*. Only then may it be deleted from *incoming*.

    docs/bucket-protocol.md#copy-before-delete. Raises NoSuchKey; StorageFault where both buckets are one.
    """
    await buckets.active.copy_from(buckets.incoming, str(image))


class Moved(NamedTuple):
    """The keys that were moved, and whether the image is cropped.

    If it is, the variants that show the crop have to be requested (docs/bucket-protocol.md#movers-look-for-a-crop).
    """

    keys: Collection[str]
    cropped: bool


async def move_thumbnails(
    image: ImageKey,
    *,
    context: PublisherContext,
    base: Record | None = None,
    late: Stage | None = None,
    listed: Collection[str] = (),
    original: bool = False,
) -> Moved:
    """Move the variants and the record of each stage of today's settings, and of the `late` one, to *active*.

    A record is looked for before its variants, and copied after them
    (docs/bucket-protocol.md#record-before-variants). Without a record, only the base variants and those of the `late`
    stage are looked for. Nothing of a cropped image is moved: its variants are rendered in *active*, and what
    *incoming* has was rendered before the crop, so it is removed.

    `base` is the base stage's record, if it was read before. `listed` are keys that a listing has shown in *incoming*;
    they may be of earlier sizes. If the `original` was copied, it is deleted from *incoming* with the rest. Raises
    StorageFault where both buckets are one: then nothing is deleted.
    """
    buckets = context.buckets
    if await buckets.active.is_same_object(buckets.incoming, str(image)):
        raise StorageFault(f"{image} is one object in both buckets: expected two buckets that are apart")
    public = {str(image)} if original else set()
    others = set(listed) - {image.crop}
    if await read_crop(buckets.active, image) is not None:
        await buckets.incoming.delete_all(context.plan.keys(image) | others | public)
        return Moved(others, cropped=True)
    stages = {*context.plan.stages, *([] if late is None else [late])}
    copying = (
        _copy_stage(image, stage, base if stage is Stage.BASE else None, context, late=stage is late)
        for stage in stages
    )
    for found in await together(*copying):
        public |= found
    for key in sorted(others, key=lambda key: key.endswith(RECORD_ENDINGS[Stage.BASE])):  # records last
        if await _copy(key, buckets):
            public.add(key)
    # Only what is public: something else may have been written since it was looked for.
    _, crop = await together(buckets.incoming.delete_all(public), read_crop(buckets.active, image))
    return Moved(public | others, cropped=crop is not None)


async def _copy_stage(
    image: ImageKey, stage: Stage, record: Record | None, context: PublisherContext, *, late: bool
) -> set[str]:
    """Copy what *incoming* has of the stage. Returns the keys of it that are public then."""
    buckets = context.buckets
    record = record or await read_record(buckets.incoming, image, stage)
    if record is None:
        return await _copy_without_record(image, stage, context) if late or stage is Stage.BASE else set()
    public = await _copy_all(context.plan.variants(image, stage) | _keys(image, record), buckets)
    return public | await _copy_all({record_key(image, stage)}, buckets)


async def _copy_without_record(image: ImageKey, stage: Stage, context: PublisherContext) -> set[str]:
    """Copy the variants of an old backend's image, or what a public record lacks. Returns the keys that are public.

    A public record may lack variants if two renderings with different settings replaced each other's record. One that
    was killed and repeated leaves variants that are public already: those are not copied over the newer ones.
    """
    active, keys = context.buckets.active, context.plan.variants(image, stage)
    record = await read_record(active, image, stage)
    if record is None:
        return await _copy_all(keys, context.buckets)
    keys |= _keys(image, record)
    found = await together(*(active.stat(key) for key in keys))
    public = {entry.key for entry in found if entry is not None}
    return public | await _copy_all(keys - public, context.buckets)


def _keys(image: ImageKey, record: Record) -> set[str]:
    """The variants that the record lists, as far as they are the image's."""
    keys = {variant.key for variant in record.variants}
    return {key for key in keys if image_name_of(key) == image.name and not is_original(key)}


async def _copy_all(keys: Collection[str], buckets: Buckets) -> set[str]:
    """Copy the objects to *active*. Returns the keys of those that were there."""
    ordered = list(keys)
    copied = await together(*(_copy(key, buckets) for key in ordered))
    return {key for key, was_there in zip(ordered, copied, strict=True) if was_there}


async def _copy(key: str, buckets: Buckets) -> bool:
    """Copy the object to *active*. Returns False where there is none: it was never written, or has been moved."""
    try:
        await buckets.active.copy_from(buckets.incoming, key)
    except NoSuchKey:
        return False
    return True


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


async def announce_thumbnails(image: ImageKey, data: ActivatedData, *, context: PublisherContext) -> None:
    """Say that a stage of a public image is public, too.

    The event goes through the outbox: the move is done, and a broker that is away is no reason to repeat it. A crash
    loses the event; a client that waits for it also looks for itself now and then
    (docs/bucket-protocol.md#announce-afterwards).
    """
    await context.outbox.send(ThumbnailsActivated(source="/publisher", subject=image, data=data))
