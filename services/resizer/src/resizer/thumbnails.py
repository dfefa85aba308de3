"""Making a stage of an image's thumbnails, from the original in a bucket to the stage's record."""

from dataclasses import dataclass

import structlog

from common import tracing
from common.cancellation import together
from common.errors import FailureClass, ImageError
from common.images.names import ImageKey
from common.images.records import Failure, Record, Stage, encode_record
from common.images.sizes import Crop
from common.messaging.bus import Bus
from common.messaging.events import (
    FailureData,
    Lane,
    RequestData,
    StageData,
    ThumbnailsFailed,
    ThumbnailsReady,
    ThumbnailsRequested,
)
from common.storage.base import Buckets, Storage
from common.storage.image_store import (
    Original,
    StoredRecord,
    find_bucket,
    find_original,
    is_deleted,
    original_of,
    read_crop,
    read_record,
    remove_rendered,
    write_failure,
    write_record,
)
from resizer.rendering import Renderer
from resizer.replacement import finish_replacement

log = structlog.get_logger()

_SOURCE = "/resizer"
# Records are public. The error itself may name hosts, buckets and folders: it stands in the log and in the dead letter.
_GAVE_UP = "it could not be rendered, for a reason that does not lie in the image"


@dataclass(frozen=True)
class ResizerContext:
    """What making thumbnails needs."""

    buckets: Buckets
    bus: Bus
    renderer: Renderer


async def make_thumbnails(image: ImageKey, stage: Stage, lane: Lane, *, context: ResizerContext) -> Record | None:
    """Render the stage's variants, write them beside the original, then write the record, then announce it.

    After the base stage, request the modern stage. An image that cannot be rendered ends with a record of the failure;
    it is not retried. Returns the record that is there now; None where there was nothing to do, or the image is
    deleted. Raises Transient.
    """
    buckets, plan = context.buckets, context.renderer.plan
    if stage not in plan.stages:
        log.info("today's settings have no such stage: nothing to do", stage=stage)
        # Whoever waits for the stage learns that it will not come.
        failure = Failure(fault="no-such-stage", reason="the resizers' settings have no such stage")
        await _announce(
            image, _failure_record(stage, await read_crop(buckets.active, image), failure, context), context
        )
        return None
    # docs/bucket-protocol.md#crop-around-rendering
    while True:
        original, crop = await together(original_of(image, buckets=buckets), read_crop(buckets.active, image))
        if original is None:
            log.info("the original is in neither bucket: nothing to do")
            # Variants and records are called by the image's name alone: they may be of an original of another format.
            if await find_original(image.name, buckets=buckets) is None:
                await remove_rendered(image, buckets=buckets, plan=plan)
            return None
        # Whoever moves late, uncropped variants requests another rendering afterwards. So a cropped image is rendered
        # at every event: its variants may have been written over.
        record = await _finished_record(image, stage, original.bucket, crop, context) if crop is None else None
        if record is None:
            record = await _render(image, stage, original, crop, context)
        if record is not None and await read_crop(buckets.active, image) == crop:
            break
        log.info("the crop, or the variants of other settings, changed during rendering: starting over")
    await _announce(image, record, context)
    # docs/bucket-protocol.md#look-for-the-tombstone-last
    if await is_deleted(image, buckets=buckets):
        log.info("the image was deleted during rendering: removing its thumbnails")
        await remove_rendered(image, buckets=buckets, plan=plan)
        return None
    if stage is Stage.BASE and record.failed is None and Stage.MODERN in plan.stages:
        # The modern formats of a live image wait in a lane of their own; those of a bulk image stay in the bulk lane.
        data = RequestData(lane=Lane.BULK if lane is Lane.BULK else Lane.FOLLOW_UP, stage=Stage.MODERN)
        await context.bus.publish(ThumbnailsRequested(source=_SOURCE, subject=image, data=data))
    return record


async def write_gave_up_record(image: ImageKey, stage: Stage, error: Exception, *, context: ResizerContext) -> None:
    """Write the record that no retry is left, and announce it. Raises Transient.

    A finished record stays: the error may only have kept it from being announced, or the next stage from being
    requested. docs/bucket-protocol.md#good-records-stay
    """
    bucket = await find_bucket(image, buckets=context.buckets)
    if bucket is None or stage not in context.renderer.plan.stages:
        return
    crop = await read_crop(context.buckets.active, image)
    reason = str(error) or type(error).__name__
    target = bucket if crop is None else context.buckets.active
    failure = _failure_record(stage, crop, Failure(fault=FailureClass.GAVE_UP, reason=_GAVE_UP), context)
    record = await _write_failure(target, image, failure, context)
    if record.failed is not None:
        log.error("the image could not be rendered", stage=stage, reason=reason)
    else:  # what failed came after the record: repair finds what is missing, or the event is replayed
        log.error("the image was rendered, but not announced", stage=stage, reason=reason)
    await _announce(image, record, context)


async def _finished_record(
    image: ImageKey, stage: Stage, bucket: Storage, crop: Crop | None, context: ResizerContext
) -> Record | None:
    """The record, if nothing is left to do: it is of this configuration, and no retries ran out on it."""
    record = await read_record(bucket, image, stage)
    configuration = context.renderer.plan.configuration(stage, crop)
    if record is None or record.configuration != configuration or not record.is_final:
        return None
    # An SVG may have taken the place of a rasterised original: the record may still be the old original's.
    if record.original is not None and record.original.key != image:
        return None
    return record if await finish_replacement(image, record, bucket, buckets=context.buckets) else None


async def _render(
    image: ImageKey, stage: Stage, original: Original, crop: Crop | None, context: ResizerContext
) -> Record | None:
    """The record that is written; None where the image has to be rendered again."""
    # Only public images are cropped.
    target = original.bucket if crop is None else context.buckets.active
    try:
        context.renderer.check_turn(image)
        async with context.renderer.in_hand.place(original.bytes):
            async with original.bucket.as_file(str(image)) as path:
                record, blobs = await context.renderer.render_stage(path, image, stage, crop)
            await _write_variants(record, blobs, target)
    except ImageError as error:
        log.warning("the image cannot be rendered", stage=stage, fault=error.fault, reason=error.reason)
        failure = _failure_record(stage, crop, Failure(fault=error.fault, reason=error.reason), context)
        return await _write_failure(target, image, failure, context)
    total = sum(map(len, blobs))
    log.info("thumbnails made", stage=stage, variants=len(blobs), bytes=total, damaged=record.damaged)
    written = await write_record(target, image, StoredRecord(record, encode_record(record)))
    # What is there of a first record was written by this rendering alone, and nobody has a reason to remove it.
    if written.first or await finish_replacement(image, written.record, target, buckets=context.buckets):
        return written.record
    return None


async def _write_variants(record: Record, blobs: list[bytes], target: Storage) -> None:
    await target.put_all({variant.key: blob for variant, blob in zip(record.variants, blobs, strict=True)})


async def _write_failure(target: Storage, image: ImageKey, failure: Record, context: ResizerContext) -> Record:
    # Who has a public image rendered again, after a change of settings, waits for a record of today's.
    public = target is context.buckets.active
    return await write_failure(target, image, failure, over_other_settings=public)


def _failure_record(stage: Stage, crop: Crop | None, failure: Failure, context: ResizerContext) -> Record:
    configuration = context.renderer.plan.configuration(stage, crop)
    shown = None if crop is None else crop.geometry.text
    traceparent = tracing.traceparent()
    return Record(stage=stage, configuration=configuration, crop=shown, failed=failure, traceparent=traceparent)


async def _announce(image: ImageKey, record: Record, context: ResizerContext) -> None:
    stage, configuration = record.stage, record.configuration
    if record.failed is None:
        data = StageData(stage=stage, configuration=configuration, crop=record.crop)
        await context.bus.publish(ThumbnailsReady(source=_SOURCE, subject=image, data=data))
    else:
        failed = FailureData(stage=stage, configuration=configuration, crop=record.crop, failed=record.failed)
        await context.bus.publish(ThumbnailsFailed(source=_SOURCE, subject=image, data=failed))
