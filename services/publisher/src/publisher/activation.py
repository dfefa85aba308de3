"""Activating an image: moving it from *incoming* to *active*.

The order of the steps makes it safe against every other handler, and against a crash after any step:
docs/bucket-protocol.md#activation and docs/bucket-protocol.md#crop. `moving.py` has the steps that copy.
"""

import asyncio
from collections.abc import Iterable
from typing import NamedTuple

import structlog

from common import metrics, tracing
from common.cancellation import together
from common.errors import BusFault, NoSuchKey, StorageFault
from common.images.names import ImageKey
from common.images.records import Record, Stage
from common.images.sizes import Crop
from common.messaging.events import ActivatedData, ImageActivated, ThumbnailsActivated, ThumbnailsRequested
from common.storage.base import Buckets, Entry
from common.storage.image_store import is_deleted, is_public, read_record, wait_for_record
from publisher.context import PublisherContext
from publisher.errors import ImageFailed, ImageUnknown, UploadExpired
from publisher.moving import copy_original, move_thumbnails
from publisher.removal import find_known_keys, remove_everywhere

log = structlog.get_logger()

_CONFIRM_SECONDS = 2.0  # that the broker has to confirm an event before the command is answered
_STATE_INTERVAL = 0.5  # seconds between looks at an image's whole state while its record is awaited


class _State(NamedTuple):
    """What the store said of an image, at about the same time."""

    deleted: bool
    private: Entry | None  # the original in *incoming*
    record: Record | None  # of the base stage, in *incoming*

    def variants_expected_for(self, seconds: float) -> float:
        """For how many seconds variants may still come: until the upload is `seconds` old.

        An original's age may be negative: the clocks of the store's servers may differ.
        """
        if self.deleted or self.private is None or self.record is not None:
            return 0.0
        return seconds - self.private.age


async def activate(image: ImageKey, *, context: PublisherContext, crop: Crop | None = None, wait: float = 0.0) -> None:
    """Make the image public. If it is public already, finish what is left to move.

    First wait for variants that are still being rendered, until the upload is `wait` seconds old. With a crop, which
    must lie within the image, its variants are rendered anew to show that part. Returns when the image is in *active*
    and, with a crop, when the broker has confirmed the request to render.

    Raises ImageUnknown, UploadExpired, ImageFailed, and Transient; with a crop that includes BusFault without a broker.
    """
    with tracing.span("wait for variants"):
        state = await _wait_for_variants(image, context.buckets, wait)
    tracing.link(state.record.traceparent if state.record is not None else None)  # the upload's trace
    if state.deleted:
        await remove_if_deleted(image, context=context)
        raise ImageUnknown(f"{image} was deleted")
    await _check_activatable(image, state, context)
    if crop is not None:
        await _store_crop(image, crop, context)
    if state.private is not None:
        await _copy_original(image, context)
    moved = await move_thumbnails(image, context=context, original_copied=True)
    if await remove_if_deleted(image, context=context, moved=moved.keys):
        raise ImageUnknown(f"{image} was deleted")
    if moved.cropped:
        await _send_request(ThumbnailsRequested(source="/publisher", subject=image), crop, context)
    if moved.fault is not None:
        raise moved.fault
    if state.private is not None:
        metrics.UPLOAD_PUBLIC_SECONDS.observe(max(0.0, state.private.age))
    event = ImageActivated(source="/publisher", subject=image)
    log.info(
        "image was active already" if state.private is None else "image activated", image=str(image), emits=event.id
    )
    await context.outbox.send(event)


async def _wait_for_variants(image: ImageKey, buckets: Buckets, seconds: float) -> _State:
    """The state once no variants are expected any more, or after `seconds`.

    The record is looked for all the time, since it comes with the variants. A deletion, and an activation of the same
    image, are seen a little later.
    """
    now = asyncio.get_running_loop().time
    end = now() + seconds
    state = await _read_state(image, buckets)
    while (left := min(state.variants_expected_for(seconds), end - now())) > 0:
        await wait_for_record(buckets.incoming, image, is_wanted=_any_record, seconds=min(left, _STATE_INTERVAL))
        state = await _read_state(image, buckets)
    return state


def _any_record(_: Record) -> bool:
    return True


async def _read_state(image: ImageKey, buckets: Buckets) -> _State:
    return _State(
        *await together(
            is_deleted(image, buckets=buckets),
            buckets.incoming.stat(str(image)),
            read_record(buckets.incoming, image, Stage.BASE),
        )
    )


async def _check_activatable(image: ImageKey, state: _State, context: PublisherContext) -> None:
    """Raises ImageUnknown, UploadExpired or ImageFailed for an image that may not be activated, and is not public."""
    refusal: ImageUnknown | UploadExpired | ImageFailed
    if state.private is None:
        refusal = ImageUnknown(f"{image} is not known: expected the name that an upload was answered with")
    elif state.private.age > context.ttl:
        refusal = UploadExpired(f"{image} was uploaded more than {context.ttl:g} s ago and not activated in time")
    elif state.record is not None and state.record.failed is not None:
        refusal = ImageFailed(f"{image} cannot be shown: {state.record.failed.reason}")
    else:
        return
    if not await is_public(image, buckets=context.buckets):
        raise refusal


async def _store_crop(image: ImageKey, crop: Crop, context: PublisherContext) -> None:
    """Write the crop of an image that exists: images of one name and different formats share one crop."""
    if (trouble := context.bus.trouble()) is not None:
        raise BusFault(f"the variants that show the crop cannot be requested: {trouble}")
    await write_crop(image, crop, buckets=context.buckets)


async def _copy_original(image: ImageKey, context: PublisherContext) -> None:
    try:
        await copy_original(image, buckets=context.buckets)
    except NoSuchKey as error:  # another handler has moved it since, or it was deleted
        if not await is_public(image, buckets=context.buckets):
            await remove_if_deleted(image, context=context)
            raise ImageUnknown(f"{image} is gone: it was deleted or removed meanwhile") from error
    except StorageFault:
        await remove_if_deleted(image, context=context)  # it may have been copied all the same
        raise


async def _send_request(request: ThumbnailsRequested, crop: Crop | None, context: PublisherContext) -> None:
    """Send the request to render; where this command set the crop, wait for the broker to confirm the request."""
    if crop is None:
        await context.outbox.send(request)
        return
    try:
        async with asyncio.timeout(_CONFIRM_SECONDS):
            await context.bus.publish(request)
    except TimeoutError as error:
        raise BusFault("the broker did not confirm the request for the cropped variants in time") from error
    await remove_pending_crop(request.subject, crop.geometry.text.encode(), buckets=context.buckets)


async def remove_if_deleted(image: ImageKey, *, context: PublisherContext, moved: Iterable[str] = ()) -> bool:
    """After writing, look for the tombstone (docs/bucket-protocol.md#look-for-the-tombstone-last).

    If there is one, remove all of the image that this service may have moved. `moved` are the keys that it has moved:
    the record that listed them may be gone. Returns whether there was a tombstone.
    """
    if not await is_deleted(image, buckets=context.buckets):
        return False
    log.info("image was deleted meanwhile: removing what was moved")
    known = await find_known_keys(image, buckets=context.buckets, plan=context.plan)
    await remove_everywhere({*moved, *known}, buckets=context.buckets)
    return True


async def write_crop(image: ImageKey, crop: Crop, *, buckets: Buckets) -> None:
    """Say which part of the image its variants have to show (docs/bucket-protocol.md#crop-first).

    The copy in *incoming* stays until the broker has confirmed the request to render: the reconciler looks there.
    """
    text = crop.geometry.text.encode()
    await buckets.incoming.put(image.crop_key, text)
    await buckets.active.put(image.crop_key, text)


async def read_pending_crop(image: ImageKey, *, buckets: Buckets) -> bytes | None:
    """The copy of the crop in *incoming*, or None. While it is there, no broker may have the request to render.

    It is empty where an edit has no crop.
    """
    try:
        return await buckets.incoming.get(image.crop_key)
    except NoSuchKey:
        return None


async def remove_pending_crop(image: ImageKey, requested: bytes, *, buckets: Buckets) -> None:
    """Remove the copy in *incoming* once the rendering was `requested`, unless another crop was written since."""
    if await read_pending_crop(image, buckets=buckets) == requested:
        await buckets.incoming.delete(image.crop_key)


async def announce_thumbnails(image: ImageKey, data: ActivatedData, *, context: PublisherContext) -> None:
    """Say that a stage of a public image is public, too.

    The event goes through the outbox: the move is done, and a broker that is away is no reason to repeat it. A crash
    loses the event; a client that waits for it also looks for itself now and then
    (docs/bucket-protocol.md#announce-afterwards).
    """
    await context.outbox.send(ThumbnailsActivated(source="/publisher", subject=image, data=data))
