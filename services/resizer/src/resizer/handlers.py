"""From an event to thumbnails and their record: rule 2 of the bucket protocol."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from common.bus import Bus
from common.errors import ImageError, ImageFault
from common.events import (
    Event,
    FailureData,
    ImageUploaded,
    StageData,
    ThumbnailsFailed,
    ThumbnailsReady,
    ThumbnailsRequested,
)
from common.images.names import ImageKey
from common.images.records import (
    Failure,
    Original,
    Record,
    Stage,
    Variant,
    encode_record,
    record_key,
)
from common.images.sizes import Size, configuration
from common.imaging.pool import Pool
from common.imaging.probe import Header, probe
from common.imaging.protocol import Job
from common.storage import Buckets, Storage
from common.stored import read_record
from resizer.operations.render import Rendered, RenderJob, render

log = structlog.get_logger()

_SOURCE = "/resizer"
_LARGE = 1 << 20  # bytes


@dataclass(frozen=True)
class Resizing:
    """What making thumbnails needs."""

    buckets: Buckets
    bus: Bus
    pool: Pool
    sizes: tuple[Size, ...]
    # Held while a heavy image is rendered, so that memory does not grow with the number of processes.
    heavy: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def configuration(self) -> str:
        """The hash of the sizes, as records carry it."""
        return configuration(self.sizes)


async def make_thumbnails(event: ImageUploaded | ThumbnailsRequested, *, resizing: Resizing) -> None:
    """Render the variants, write them where the original is, then their record, then tell.

    An image that cannot be rendered ends as a record of the failure; it is not tried again.
    """
    image = event.subject
    bucket = await _bucket_of(image, resizing.buckets)
    if bucket is None:
        log.info("the original is in neither bucket: nothing to do")
        await _take_back(image, resizing)
        return
    record = await _present_record(image, bucket, resizing)
    if record is None:
        record = await _render(image, bucket, resizing)
    await _tell(image, record, resizing)
    if await resizing.buckets.incoming.stat(image.tombstone) is not None:
        log.info("image was deleted meanwhile: taking its thumbnails back")
        await _take_back(image, resizing)


async def gave_up(event: Event, error: Exception, *, resizing: Resizing) -> None:
    """The attempts are used up: write the failure down, so that whoever waits for the image learns of it."""
    image = event.subject
    bucket = await _bucket_of(image, resizing.buckets)
    if bucket is None:
        return
    failure = Failure(fault=ImageFault.GAVE_UP, reason=f"it could not be rendered: {error or type(error).__name__}")
    record = Record(configuration=resizing.configuration, failed=failure)
    await bucket.put(record_key(image, Stage.BASE), encode_record(record))
    await _tell(image, record, resizing)


async def _bucket_of(image: ImageKey, buckets: Buckets) -> Storage | None:
    # In this order: an activation moves it from the first to the second, and never back.
    for bucket in (buckets.incoming, buckets.active):
        if await bucket.stat(str(image)) is not None:
            return bucket
    return None


async def _present_record(image: ImageKey, bucket: Storage, resizing: Resizing) -> Record | None:
    """The record, if there is nothing left to do: of this configuration, and not given up for a passing fault."""
    record = await read_record(bucket, image, Stage.BASE)
    done = record is not None and record.configuration == resizing.configuration and record.settled
    return record if done else None


async def _render(image: ImageKey, bucket: Storage, resizing: Resizing) -> Record:
    try:
        async with bucket.as_file(str(image)) as path:
            size = path.stat().st_size
            rendered, blobs = await _run(path, size, image, resizing)
    except ImageError as error:
        log.warning("the image cannot be rendered", fault=error.fault, reason=error.reason)
        failure = Failure(fault=error.fault, reason=error.reason)
        record = Record(configuration=resizing.configuration, failed=failure)
    else:
        record = _record(image, rendered, blobs, size, resizing)
        keys = [variant.key for variant in record.variants]
        await asyncio.gather(*(bucket.put(key, blob) for key, blob in zip(keys, blobs, strict=True)))
        log.info("thumbnails made", variants=len(keys), bytes=sum(map(len, blobs)), damaged=record.damaged)
    await bucket.put(record_key(image, Stage.BASE), encode_record(record))
    return record


async def _run(path: Path, size: int, image: ImageKey, resizing: Resizing) -> tuple[Rendered, list[bytes]]:
    limits = resizing.pool.limits
    job = RenderJob(path=path, limits=limits, sizes=resizing.sizes, output=image.variant_format)
    # Only a large file can hold a heavy image, and asking costs a millisecond.
    if size > _LARGE:
        header, _ = await resizing.pool.run(probe, Job(path=path, limits=limits), Header)
        if header.heavy:
            async with resizing.heavy:
                return await resizing.pool.run(render, job, Rendered)
    return await resizing.pool.run(render, job, Rendered)


def _record(image: ImageKey, rendered: Rendered, blobs: list[bytes], size: int, resizing: Resizing) -> Record:
    variants = tuple(
        Variant(
            key=image.variant(made.suffix),
            format=image.variant_format,
            width=made.width,
            height=made.height,
            bytes=len(blob),
        )
        for made, blob in zip(rendered.variants, blobs, strict=True)
    )
    return Record(
        configuration=resizing.configuration,
        original=Original(key=image, width=rendered.width, height=rendered.height, frames=rendered.frames, bytes=size),
        variants=variants,
        damaged=rendered.damaged,
        thumbhash=rendered.thumbhash,
        colour=rendered.colour,
    )


async def _tell(image: ImageKey, record: Record, resizing: Resizing) -> None:
    if record.failed is None:
        data = StageData(configuration=record.configuration)
        await resizing.bus.publish(ThumbnailsReady(source=_SOURCE, subject=image, data=data))
    else:
        failed = FailureData(configuration=record.configuration, failed=record.failed)
        await resizing.bus.publish(ThumbnailsFailed(source=_SOURCE, subject=image, data=failed))


async def _take_back(image: ImageKey, resizing: Resizing) -> None:
    """Remove thumbnails and record from both buckets; the original is not the resizer's to touch."""
    keys = [image.variant(size.suffix) for size in resizing.sizes] + [record_key(image, Stage.BASE)]
    buckets = (resizing.buckets.incoming, resizing.buckets.active)
    await asyncio.gather(*(bucket.delete(key) for key in keys for bucket in buckets))
