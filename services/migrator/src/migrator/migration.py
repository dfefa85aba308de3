"""Migrating one image of the v5 database: its original into *active*, then its thumbnails.

A migration that was killed at any step can be started again. An original that is public already is neither fetched nor
overwritten. A deleted image stays deleted.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from common.backoff import jittered
from common.errors import Defect, ImageError, KeyTaken
from common.images.formats import Format
from common.images.names import BadName, ImageKey
from common.images.records import Stage
from common.imaging.probe import Header, probe
from common.jobs import BulkRendering, Outcome, Result
from common.jobs.bulk_rendering import ImageGone
from common.sandbox.pool import Pool
from common.sandbox.protocol import Job
from common.storage.base import Buckets
from common.storage.image_store import is_deleted
from common.storage.temporary import temporary_path
from migrator.checkpoint import DELETED, Checkpoint
from migrator.index import ArchivedImage
from migrator.rate_limit import RateLimit
from migrator.source import OriginalMissing, OriginalRefused, Source, SourceFault

log = structlog.get_logger()

_SVG = "svg:"
_RETRIES = (0.5, 2.0, 5.0, 15.0)  # seconds before the source is asked again


@dataclass(frozen=True)
class Migration:
    """What migrating an image depends on.

    `state` is what the checkpoint holds for an image that was finished under the present settings.
    `fetch_slots` limits how many originals are fetched at once, `rate_limit` how many a second.
    """

    buckets: Buckets
    source: Source
    pool: Pool
    rendering: BulkRendering
    checkpoint: Checkpoint
    stages: tuple[Stage, ...]
    state: str
    temporary: Path
    fetch_slots: asyncio.Semaphore
    rate_limit: RateLimit
    force: bool = False

    def finished_state(self, archived: ArchivedImage) -> str:
        """What the checkpoint holds for this image once it is finished. It differs if the image became an SVG."""
        return f"{_SVG}{self.state}" if archived.is_svg else self.state


async def migrate_image(archived: ArchivedImage, *, migration: Migration) -> Outcome:
    """Copy the original to *active* and wait for its thumbnails. Raises StorageFault, BusFault, JobFault."""
    try:
        image = archived.key()
        return await _migrate(image, archived, migration)
    except ImageGone:
        # A run that was killed may have copied the original while the image was being deleted.
        await migration.buckets.active.delete(str(image))
        await migration.checkpoint.add(archived.name, DELETED)
        return Outcome(str(archived), Result.SKIPPED, remark="deleted")
    except (BadName, OriginalMissing, OriginalRefused, SourceFault) as error:
        return Outcome(str(archived), Result.ERROR, failure_class(error), str(error))
    except ImageError as error:
        return Outcome(str(archived), Result.ERROR, error.fault, f"it is not taken over: {error.reason}")
    except Defect as error:
        return Outcome(str(archived), Result.ERROR, "defect", f"it is not taken over: {error}; the log has its trace")


async def _migrate(image: ImageKey, archived: ArchivedImage, migration: Migration) -> Outcome:
    await raise_if_deleted(image, migration.buckets)
    rendering, size, remark = migration.rendering, None, None
    public = await migration.buckets.active.stat(str(image))
    if public is None:
        raise_if_vanished(archived)
        size, remark = await _copy_original(image, migration)
        stages = migration.stages
    else:
        stages = migration.stages if migration.force else tuple(await rendering.missing_stages(image))
        await rendering.remove_records(image, stages, finished=migration.force)
    await _remove_rasterised(image, migration.buckets)
    failure = (await rendering.render(image, stages) if stages else None) or await rendering.read_failure(image)
    if failure is not None:
        return Outcome(str(image), Result.ERROR, failure.fault, f"it has no thumbnails: {failure.reason}", size)
    if archived.other_filename is not None and not archived.is_svg:
        reason = f"v5 has {archived.other_filename} of the same name, too: only {image} was taken over"
        return Outcome(str(image), Result.ERROR, "two-originals", reason, size)
    await migration.checkpoint.add(image.name, migration.finished_state(archived))
    result = Result.PROCESSED if public is None or stages else Result.SKIPPED
    if await rendering.is_damaged(image):
        remark = "; ".join(filter(None, (f"row {archived.id}: the original is cut off, or has errors", remark)))
        return Outcome(str(image), result, remark="damaged", reason=remark, bytes=size)
    return Outcome(str(image), result, remark="mismatch" if remark else None, reason=remark, bytes=size)


async def raise_if_deleted(image: ImageKey, buckets: Buckets) -> None:
    """Raises ImageGone when the image has a tombstone."""
    if await is_deleted(image, buckets=buckets):
        raise ImageGone(f"{image} was deleted")


def raise_if_vanished(archived: ArchivedImage) -> None:
    """Raises ImageGone when an earlier run made the original public, and it is not public any more.

    It was deleted: the checkpoint tells so without a tombstone, too.
    """
    if archived.state is not None and archived.state.startswith(_SVG) == archived.is_svg:
        raise ImageGone(f"{archived} was public once")


async def _copy_original(image: ImageKey, migration: Migration) -> tuple[int, str | None]:
    """Store the original in *active*. Returns its size in bytes, and a remark if its ending and its format differ."""
    active = migration.buckets.active
    async with fetch_original(image, migration) as (path, size):
        header, _ = await migration.pool.run(probe, Job(limits=migration.pool.limits), Header, path)
        try:
            await active.put_file(str(image), path, exclusive=True)
        except KeyTaken:
            log.info("the original is stored already", image=str(image))
    # docs/bucket-protocol.md#look-for-the-tombstone-last
    try:
        await raise_if_deleted(image, migration.buckets)
    except ImageGone:
        await active.delete(str(image))
        raise
    if header.format is image.format:
        return size, None
    return size, f"it is named .{image.extension}, and its bytes are {header.format.upper()}"


@asynccontextmanager
async def fetch_original(image: ImageKey, migration: Migration) -> AsyncIterator[tuple[Path, int]]:
    """The original from the source as a temporary file, which is removed at the end, and its size in bytes.

    Raises OriginalMissing, OriginalRefused, SourceFault and StorageFull.
    """
    path = temporary_path(migration.temporary)
    try:
        async with migration.fetch_slots:
            for delay in (*_RETRIES, None):
                await migration.rate_limit.wait_turn()
                try:
                    size = await migration.source.fetch(str(image), path)
                    break
                except SourceFault as fault:
                    if delay is None:
                        raise
                    log.info("the source will be asked again", image=str(image), seconds=delay, reason=str(fault))
                    await asyncio.sleep(jittered(delay))
        yield path, size
    finally:
        path.unlink(missing_ok=True)


async def _remove_rasterised(image: ImageKey, buckets: Buckets) -> None:
    """Remove the raster copies of an SVG, which the backend after v5 published for old browsers."""
    if image.format is not Format.SVG:
        return
    for ending in (Format.JPG, Format.PNG):
        for extension in (ending.lower(), ending.upper()):
            copy = str(ImageKey(image.name, extension))
            if await buckets.active.stat(copy) is not None:
                log.info("raster copy of an SVG removed", image=str(image), key=copy)
                await buckets.active.delete(copy)


def failure_class(error: Exception) -> str:
    """The class under which the report counts the error."""
    return {BadName: "bad-name", OriginalMissing: "missing", OriginalRefused: "refused", SourceFault: "source"}[
        type(error)
    ]
