"""The handlers of the publisher's events, each named after its event."""

from common.images.records import Stage
from common.messaging.events import (
    ActivatedData,
    ActivationRequested,
    Lane,
    RequestData,
    ThumbnailsFailed,
    ThumbnailsReady,
    ThumbnailsRequested,
)
from common.storage.image_store import is_public, read_crop, read_record
from publisher.activation import activate, announce_thumbnails, remove_if_deleted
from publisher.context import PublisherContext
from publisher.moving import Moved, incoming_has_thumbnails, move_thumbnails


async def activation_requested(event: ActivationRequested, *, context: PublisherContext) -> None:
    """Activate the image, as `/publish` does, without waiting for its variants."""
    await activate(event.subject, context=context)


async def thumbnails_ready(event: ThumbnailsReady, *, context: PublisherContext) -> None:
    """Move the stage's variants and record if the original is public (docs/bucket-protocol.md#late-variants-follow)."""
    await _move_late_stage(event, context)


async def thumbnails_failed(event: ThumbnailsFailed, *, context: PublisherContext) -> None:
    """Move the record that says why there are no variants if the original is public."""
    await _move_late_stage(event, context)


async def _move_late_stage(event: ThumbnailsReady | ThumbnailsFailed, context: PublisherContext) -> None:
    image = event.subject
    moved = Moved()
    public = await is_public(image, buckets=context.buckets)
    if public and not await _is_crop_in_place(event, context):
        moved = await move_thumbnails(image, context=context, late_stage=event.data.stage)
        if moved.cropped:
            await context.bus.publish(ThumbnailsRequested(source="/publisher", subject=image))
    deleted = await remove_if_deleted(image, context=context, moved=moved.keys)
    if moved.fault is not None:
        raise moved.fault
    if isinstance(event, ThumbnailsReady) and event.data.stage in moved.failed and not deleted:
        # A failure has come between the rendering's record and its move (docs/bucket-protocol.md#good-records-stay).
        again = RequestData(lane=Lane.FOLLOW_UP, stage=event.data.stage)
        await context.bus.publish(ThumbnailsRequested(source="/publisher", subject=image, data=again))
        return
    if public and not moved.cropped and not deleted:
        data, failed = event.data, event.data.failed if isinstance(event, ThumbnailsFailed) else None
        activated = ActivatedData(stage=data.stage, configuration=data.configuration, crop=data.crop, failed=failed)
        await announce_thumbnails(image, activated, context=context)


async def _is_crop_in_place(event: ThumbnailsReady | ThumbnailsFailed, context: PublisherContext) -> bool:
    """Whether the image is cropped, these variants show the crop, and nothing else is left in *incoming*.

    To request another rendering then would never end. The crop decides, and not the configuration: a resizer's settings
    may differ from this service's (docs/bucket-protocol.md#movers-look-for-a-crop).
    """
    image, buckets = event.subject, context.buckets
    crop = await read_crop(buckets.active, image)
    if crop is None:
        return False
    shown = event.data.crop
    if not event.data.has_crop_field:
        record = await read_record(buckets.active, image, Stage.BASE)
        shown = None if record is None else record.crop
    if shown != crop.geometry.text:
        return False
    return not await incoming_has_thumbnails(image, context=context)
