"""From an event to a stage's variants and their record: rule 2 of the bucket protocol."""

from dataclasses import dataclass

import structlog

from common.cancellation import together
from common.errors import FailureClass, ImageError
from common.images.names import ImageKey
from common.images.records import Failure, Record, Stage
from common.images.sizes import Crop
from common.messaging.bus import Bus
from common.messaging.events import (
    FailureData,
    ImageUploaded,
    Lane,
    RequestData,
    StageData,
    ThumbnailsFailed,
    ThumbnailsReady,
    ThumbnailsRequested,
)
from common.storage.base import Buckets, Storage
from common.storage.image_store import (
    bucket_of,
    delete_rendered,
    find_original,
    is_deleted,
    read_crop,
    read_record,
    write_record,
)
from resizer.rendering import Renderer

log = structlog.get_logger()

_SOURCE = "/resizer"
_GAVE_UP = "it could not be rendered, for a reason that does not lie in the image; it will be tried again"

Request = ImageUploaded | ThumbnailsRequested


@dataclass(frozen=True)
class ResizerContext:
    """What making thumbnails needs."""

    buckets: Buckets
    bus: Bus
    renderer: Renderer


async def make_thumbnails(event: Request, *, context: ResizerContext) -> None:
    """Render the stage's variants, write them where the original is, then their record, then tell.

    An image that cannot be rendered ends as a record of the failure; it is not tried again.
    """
    image, stage = event.subject, _stage(event)
    if stage not in context.renderer.plan.stages:
        log.info("there is no such stage by today's settings: nothing to do", stage=stage)
        # Whoever waits for it learns that it will not come.
        failure = Failure(fault="no-such-stage", reason="the resizers' settings have no such stage")
        crop = await read_crop(context.buckets.active, image)
        await _tell(image, _failed(stage, crop, failure, context), context)
        return
    while True:
        bucket = await bucket_of(image, buckets=context.buckets)
        if bucket is None:
            log.info("the original is in neither bucket: nothing to do")
            # Versions and records have the image's name alone: they may be those of an original of another format.
            if await find_original(image.name, buckets=context.buckets) is None:
                await delete_rendered(image, buckets=context.buckets, plan=context.renderer.plan)
            return
        crop = await read_crop(context.buckets.active, image)
        record = await _present_record(image, stage, bucket, crop, context) if crop is None else None
        if record is None:
            record = await _render(image, stage, bucket, crop, context)
        if await read_crop(context.buckets.active, image) == crop:
            break
        log.info("the crop changed meanwhile: starting over")
    await _tell(image, record, context)
    if await is_deleted(image, buckets=context.buckets):
        log.info("image was deleted meanwhile: taking its thumbnails back")
        await delete_rendered(image, buckets=context.buckets, plan=context.renderer.plan)
        return
    if stage is Stage.BASE and record.failed is None and Stage.MODERN in context.renderer.plan.stages:
        # The modern formats of a live image wait in a lane of their own; those of a bulk image stay with the bulk.
        lane = Lane.BULK if event.data.lane is Lane.BULK else Lane.FOLLOW_UP
        data = RequestData(lane=lane, stage=Stage.MODERN)
        await context.bus.publish(ThumbnailsRequested(source=_SOURCE, subject=image, data=data))


async def retries_exhausted(event: Request, error: Exception, *, context: ResizerContext) -> None:
    """The attempts are used up: write the failure down, so that whoever waits for the image learns of it.

    What was rendered stays: it may only be that nobody could be told, or that what comes next could not be asked for.

    Records are public, and the error may name hosts, buckets and folders: it is in the log, and with the dead letter.
    """
    image, stage = event.subject, _stage(event)
    bucket = await bucket_of(image, buckets=context.buckets)
    if bucket is None or stage not in context.renderer.plan.stages:
        return
    crop = await read_crop(context.buckets.active, image)
    reason = str(error) or type(error).__name__
    target = bucket if crop is None else context.buckets.active
    record = await _present_record(image, stage, target, crop, context)
    if record is None:
        log.error("the image could not be rendered", stage=stage, reason=reason)
        record = _failed(stage, crop, Failure(fault=FailureClass.GAVE_UP, reason=_GAVE_UP), context)
        await write_record(target, image, record)
    else:  # it was what comes after the record that failed: what is owed then is found without it, or replayed
        log.error("the image was rendered, and that could not be told", stage=stage, reason=reason)
    await _tell(image, record, context)


def _stage(event: Request) -> Stage:
    return event.data.stage if isinstance(event, ThumbnailsRequested) else Stage.BASE


async def _present_record(
    image: ImageKey, stage: Stage, bucket: Storage, crop: Crop | None, context: ResizerContext
) -> Record | None:
    """The record, if there is nothing left to do: of this configuration, and not given up for a passing fault."""
    record = await read_record(bucket, image, stage)
    configuration = context.renderer.plan.configuration(stage, crop)
    if record is None or record.configuration != configuration or not record.settled:
        return None
    # Of an SVG that took the place of its rasterised version, the record may still be that one's.
    return record if record.original is None or record.original.key == image else None


async def _render(image: ImageKey, stage: Stage, bucket: Storage, crop: Crop | None, context: ResizerContext) -> Record:
    # Only what is public can be cropped. And as those who move late, uncropped variants ask for another render
    # afterwards, a cropped image is rendered at every event: what is there may have been written over.
    target = bucket if crop is None else context.buckets.active
    try:
        context.renderer.check_turn(image)
        async with bucket.as_file(str(image)) as path:
            record, blobs = await context.renderer.render(path, image, stage, crop)
    except ImageError as error:
        log.warning("the image cannot be rendered", stage=stage, fault=error.fault, reason=error.reason)
        record = _failed(stage, crop, Failure(fault=error.fault, reason=error.reason), context)
    else:
        pairs = zip(record.variants, blobs, strict=True)
        await together(*(target.put(variant.key, blob) for variant, blob in pairs))
        total = sum(map(len, blobs))
        log.info("thumbnails made", stage=stage, variants=len(blobs), bytes=total, damaged=record.damaged)
    await write_record(target, image, record)
    return record


def _failed(stage: Stage, crop: Crop | None, failure: Failure, context: ResizerContext) -> Record:
    configuration = context.renderer.plan.configuration(stage, crop)
    shown = None if crop is None else crop.geometry.text
    return Record(stage=stage, configuration=configuration, crop=shown, failed=failure)


async def _tell(image: ImageKey, record: Record, context: ResizerContext) -> None:
    stage, configuration = record.stage, record.configuration
    if record.failed is None:
        data = StageData(stage=stage, configuration=configuration, crop=record.crop)
        await context.bus.publish(ThumbnailsReady(source=_SOURCE, subject=image, data=data))
    else:
        failed = FailureData(stage=stage, configuration=configuration, crop=record.crop, failed=record.failed)
        await context.bus.publish(ThumbnailsFailed(source=_SOURCE, subject=image, data=failed))
