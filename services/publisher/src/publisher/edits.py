"""Rotating and recropping public images (docs/bucket-protocol.md#edits-get-a-new-name).

The result has a new key. The old original is never written to. A command is answered when its effect is in the buckets
(docs/bucket-protocol.md#answer-after-effect). If it fails, the new key is removed.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import structlog

from common.backoff import jittered
from common.cancellation import to_the_end, together
from common.errors import ImageError, KeyTaken, NoSuchKey, StorageFault, Transient
from common.images.formats import Format
from common.images.geometry import rotate_box
from common.images.names import ImageKey
from common.images.records import Record
from common.images.sizes import Crop
from common.imaging.probe import Header, probe
from common.imaging.rotate import Rotated, RotateJob, Rotation, rotate
from common.messaging.events import ThumbnailsRequested
from common.sandbox.pool import Pool
from common.sandbox.protocol import Job
from common.storage.base import Buckets, Storage
from common.storage.image_store import is_deleted, read_crop, wait_for_record, write_tombstone
from common.storage.temporary import temporary_copy
from publisher.context import EditContext
from publisher.deletion import announce_deletion, delete_images, remove_rest_of
from publisher.errors import EditImpossible, ImageFailed, ImageUnknown

log = structlog.get_logger()

T = TypeVar("T")

_ATTEMPTS = 3  # to remove an old image
_CONFIRM_SECONDS = 2.0  # that the broker has to take the request


async def rotate_image(image: ImageKey, rotation: Rotation, *, context: EditContext) -> tuple[ImageKey, str | None]:
    """Turn the image clockwise under a new key, publish it and delete the old image.

    Returns the new key, and a warning if something of the old image could not be removed: the next sweep removes it.
    Raises ImageUnknown, ImageFailed, EditImpossible, Transient.
    """
    if image.format is Format.SVG:
        raise EditImpossible("an SVG cannot be rotated: expected a JPEG, PNG or GIF")
    async with _all_or_nothing(context) as made:
        async with _open_original(image, context) as path:
            job = RotateJob(limits=context.pool.limits, rotation=rotation)
            found, (data,) = await _run_decoder(context.pool.run(rotate, job, Rotated, path))
            crop = await read_crop(context.buckets.active, image)
            if crop is not None:
                box = rotate_box(crop.box(found.width, found.height), rotation, (found.width, found.height))
                crop = Crop.parse(f"{box.width}x{box.height}+{box.left}+{box.top}")
            async with temporary_copy(data, context.temporary) as turned:
                new = await _publish_copy(image, turned, crop, context, made)
        if await is_deleted(image, buckets=context.buckets):
            raise ImageUnknown(f"{image} was deleted")
    # If this write fails, it may have happened all the same. Both images are kept, so that the photo is not lost.
    await write_tombstone(image, buckets=context.buckets)
    left = await _remove_with_retries(image, context)
    await announce_deletion(image, outbox=context.outbox)
    return new, left


async def _remove_with_retries(image: ImageKey, context: EditContext) -> str | None:
    """Remove the old image, which has a tombstone. Returns a warning if something could not be removed, or None.

    The answer is a success even then: after an error the API server would keep the old name, whose image is deleted.
    """
    reason = ""
    for attempt in range(_ATTEMPTS):
        await asyncio.sleep(jittered(attempt))
        try:
            await remove_rest_of(image, buckets=context.buckets, plan=context.plan)
        except StorageFault as fault:
            reason = str(fault)
            log.warning("the old image of a rotation cannot be removed", image=str(image), reason=reason)
        else:
            return None
    log.error("something of the old image of a rotation stays until the next sweep", image=str(image), reason=reason)
    return f"{image} is deleted, and something of it stays until the next sweep"


async def recrop_image(image: ImageKey, crop: Crop | None, *, context: EditContext) -> ImageKey:
    """Publish a copy that shows this part of the image, or all of it. Returns its key. The old image stays.

    Raises ImageUnknown, ImageFailed, EditImpossible, Transient.
    """
    async with _all_or_nothing(context) as made, _open_original(image, context) as path:
        if crop is not None:
            await check_crop(path, crop, context.pool)
        return await _publish_copy(image, path, crop, context, made)


async def check_crop(path: Path, crop: Crop, pool: Pool) -> None:
    """Raises EditImpossible for a crop that lies outside of the image."""
    header, _ = await _run_decoder(pool.run(probe, Job(limits=pool.limits), Header, path))
    try:
        crop.box(header.upright_width, header.upright_height)
    except ImageError as error:
        raise EditImpossible(f"crop {crop.geometry.text}: {error.reason}") from error


async def _run_decoder(work: Awaitable[T]) -> T:
    try:
        return await work
    except ImageError as error:
        raise ImageFailed(f"the original cannot be used: {error.reason}") from error


@asynccontextmanager
async def _open_original(image: ImageKey, context: EditContext) -> AsyncIterator[Path]:
    if await is_deleted(image, buckets=context.buckets):
        raise ImageUnknown(f"{image} was deleted")
    try:
        async with context.buckets.active.as_file(str(image)) as path:
            yield path
    except NoSuchKey as error:
        raise ImageUnknown(f"{image} is not public: expected the name of a published image") from error


@asynccontextmanager
async def _all_or_nothing(context: EditContext) -> AsyncIterator[list[ImageKey]]:
    """Delete the images that were put into the list, unless the block ends well.

    They are also deleted when the service stops and the block is cancelled. Nothing need be stored of them.
    """
    made: list[ImageKey] = []
    try:
        yield made
    except (Exception, asyncio.CancelledError):
        await to_the_end(delete_images(*made, buckets=context.buckets, plan=context.plan, outbox=context.outbox))
        raise


async def _publish_copy(
    image: ImageKey, path: Path, crop: Crop | None, context: EditContext, made: list[ImageKey]
) -> ImageKey:
    """Store the file under a new key, which is added to `made`, and wait for its variants."""
    incoming, active = context.buckets.incoming, context.buckets.active
    text = b"" if crop is None else crop.geometry.text.encode()
    new = await _store_original(image.format, path, text, context.buckets, made)
    try:
        if crop is not None:
            await active.put(new.crop_key, text)
        async with asyncio.timeout(_CONFIRM_SECONDS):
            await context.bus.publish(ThumbnailsRequested(source="/publisher", subject=new))
        async with asyncio.timeout(context.edit_wait):
            await together(incoming.delete(new.crop_key), _wait_until_rendered(new, crop, active))
    except TimeoutError as error:
        raise Transient("its thumbnails were not made in time") from error
    return new


async def _store_original(
    image_format: Format, path: Path, pending_crop: bytes, buckets: Buckets, made: list[ImageKey]
) -> ImageKey:
    """Store the file in *active*, after what has the reconciler request its variants if this process is killed.

    The key is added to `made` first: a write that raises or is cancelled may have happened all the same.
    """
    while True:
        new = ImageKey.new(image_format)
        made.append(new)
        await buckets.incoming.put(new.crop_key, pending_crop)
        try:
            await buckets.active.put_file(str(new), path, exclusive=True)
        except KeyTaken:  # by another image of this very second that drew the same ten digits
            made.remove(new)
        else:
            return new


async def _wait_until_rendered(image: ImageKey, crop: Crop | None, active: Storage) -> None:
    """Return once the base variants show the crop, or all of the image where there is none. Raises ImageFailed."""
    shown = None if crop is None else crop.geometry.text

    def is_wanted(record: Record) -> bool:
        # The record's configuration does not matter: the resizer's settings may be newer than this service's.
        return record.failed is not None or record.crop == shown

    record = await wait_for_record(active, image, is_wanted=is_wanted)
    if record is not None and record.failed is not None:
        raise ImageFailed(f"{image} cannot be shown: {record.failed.reason}")
