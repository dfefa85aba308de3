"""The repairs: how pending work is done without an event (docs/bucket-protocol.md#pending-work)."""

from collections.abc import Collection, Iterable

import structlog

from common import metrics
from common.images.formats import ORIGINALS, Format
from common.images.names import CROP, ImageKey
from common.images.plan import Plan
from common.images.records import Stage
from common.messaging.bus import Bus
from common.messaging.events import ActivatedData, ImageActivated, Lane, RequestData, ThumbnailsRequested
from common.storage.base import Buckets, Storage
from common.storage.image_store import is_public, read_crop, read_record
from publisher.activation import announce_thumbnails, read_pending_crop, remove_if_deleted, remove_pending_crop
from publisher.context import PublisherContext
from publisher.deletion import remove_rest_of
from publisher.moving import copy_original, move_thumbnails

log = structlog.get_logger()


def key_of_any_format(name: str) -> ImageKey:
    """A key of this name with an arbitrary format. Its tombstone, crop and records are those of every format."""
    return ImageKey(name, Format.JPG)


def keys_besides_original(name: str, plan: Plan) -> set[str]:
    """All keys that an image of this name may have besides its original, whatever its format."""
    images = [ImageKey(name, ending) for ending in ORIGINALS]
    return {key_of_any_format(name).crop_key} | {key for image in images for key in plan.rendered_keys(image)}


async def finish_deletion(image: ImageKey, listed: Iterable[str], *, buckets: Buckets, plan: Plan) -> None:
    """Remove what is left of an image that has a tombstone; `listed` is what a listing showed of it."""
    await remove_rest_of(image, buckets=buckets, plan=plan, listed=listed)
    _count("deletion")


async def finish_move(image: ImageKey, others: Collection[str], *, context: PublisherContext) -> None:
    """Move what is still in *incoming* of an image whose original is public. `others` is what a listing showed there.

    If a crop is among it, the variants are requested (docs/bucket-protocol.md#crop-first and #edits-get-a-new-name).
    """
    log.info("finishing a move to the public bucket", image=str(image))
    buckets = context.buckets
    pending = await read_pending_crop(image, buckets=buckets) if image.crop_key in others else None
    cut_off = await buckets.incoming.stat(str(image)) is not None
    if not await is_public(image, buckets=buckets):
        await copy_original(image, buckets=buckets)
    moved = await move_thumbnails(image, context=context, listed=others, original_copied=True)
    # Without a crop in *active*, it is of an edit that was killed before it wrote one, or that has none.
    if moved.cropped or (pending is not None and await read_crop(buckets.active, image) is None):
        await context.bus.publish(ThumbnailsRequested(source="/publisher", subject=image))
    if pending is not None:
        await remove_pending_crop(image, pending, buckets=buckets)
    deleted = await remove_if_deleted(image, context=context, moved=moved.keys)
    if moved.fault is not None:
        raise moved.fault
    if cut_off and not deleted:
        await context.outbox.send(ImageActivated(source="/publisher", subject=image))
    elif not deleted:
        await _announce_all_thumbnails(image, context)
    _count("move")


async def _announce_all_thumbnails(image: ImageKey, context: PublisherContext) -> None:
    for stage in Stage:
        record = await read_record(context.buckets.active, image, stage)
        if record is not None:
            configuration, crop, failed = record.configuration, record.crop, record.failed
            data = ActivatedData(stage=stage, configuration=configuration, crop=crop, failed=failed)
            await announce_thumbnails(image, data, context=context)


async def remove_private_orphans(name: str, listed: set[str], *, buckets: Buckets, plan: Plan) -> None:
    """Do `remove_without_original`, and count that as a repair."""
    await remove_without_original(name, listed, buckets=buckets, plan=plan)
    _count("leftovers")


async def remove_without_original(name: str, listed: set[str], *, buckets: Buckets, plan: Plan) -> None:
    """Remove what is left in *incoming* of an image whose original is in neither bucket.

    What is in *active* is removed, too, only if there is a crop: a rendering of a cropped image writes there even if
    nobody ever activated it. Other public orphans stay (docs/bucket-protocol.md#public-orphans-are-reported).
    """
    keys = listed | keys_besides_original(name, plan)
    if await buckets.active.stat(key_of_any_format(name).crop_key) is not None:
        await _remove_from_both(keys, buckets)
        return
    log.info("removing what has no original", keys=sorted(keys))
    await buckets.incoming.delete_all(keys)


async def remove_orphans(keys: Iterable[str], *, buckets: Buckets) -> None:
    """Remove these keys of an image whose original is in neither bucket, from both buckets; counted as a repair."""
    await _remove_from_both(keys, buckets)
    _count("leftovers")


async def _remove_from_both(keys: Iterable[str], buckets: Buckets) -> None:
    """The order leaves something by which the rest is found after a kill: a crop, or what is in *incoming*."""
    log.info("removing what has no original", keys=sorted(keys))
    crops = {key for key in keys if key.endswith(CROP)}
    for bucket, some in (
        (buckets.active, set(keys) - crops),
        (buckets.active, crops),
        (buckets.incoming, set(keys)),
    ):
        await bucket.delete_all(some)


async def missing_stage(image: ImageKey, bucket: Storage, *, plan: Plan) -> Stage | None:
    """The first stage that has no record beside the original. After a failure none is missing."""
    for stage in plan.stages:
        record = await read_record(bucket, image, stage)
        if record is None:
            return stage
        if record.failed is not None:
            return None
    return None


async def stage_of_other_crop(image: ImageKey, *, buckets: Buckets, plan: Plan) -> Stage | None:
    """The first stage of a public image whose record shows another crop than the image has."""
    crop = await read_crop(buckets.active, image)
    if crop is None:
        return None
    for stage in plan.stages:
        record = await read_record(buckets.active, image, stage)
        if record is not None and record.crop != crop.geometry.text:
            return stage
        if record is None or record.failed is not None:
            return None  # it has no record or it failed: missing_stage decides
    return None


async def request_thumbnails(image: ImageKey, stage: Stage, lane: Lane, *, bus: Bus) -> None:
    """Request the rendering of a stage that has no record, or whose record shows another crop."""
    log.info("requesting missing variants", image=str(image), stage=stage)
    data = RequestData(lane=lane, stage=stage)
    await bus.publish(ThumbnailsRequested(source="/publisher", subject=image, data=data))
    _count("thumbnails")


def _count(work: str) -> None:
    metrics.REPAIRED.labels(work).inc()
