"""One image of the v5 database: into *active* with its original, and its thumbnails made. Safe to begin again anywhere.

What is public already is never fetched and never written over, and what was deleted stays deleted.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from common.errors import Defect, ImageError, KeyTaken
from common.images.names import BadName, Format, ImageKey
from common.images.records import Stage
from common.imaging.probe import Header, probe
from common.jobs import Outcome, Result, Thumbnails
from common.jobs.thumbnails import ImageGone
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
    """What migrating needs. `state` stands for today's settings in the checkpoint."""

    buckets: Buckets
    source: Source
    pool: Pool
    thumbnails: Thumbnails
    checkpoint: Checkpoint
    stages: tuple[Stage, ...]
    state: str
    temporary: Path
    fetching: asyncio.Semaphore
    pace: RateLimit
    force: bool = False

    def finished(self, listed: ArchivedImage) -> str:
        """What the checkpoint says of this image when nothing is left to do: it may have become an SVG since."""
        return f"{_SVG}{self.state}" if listed.svg else self.state


async def migrate(listed: ArchivedImage, *, migration: Migration) -> Outcome:
    """Bring the image over, and wait for its thumbnails. Raises StorageFault, BusFault, JobFault."""
    try:
        image = listed.key()
        return await _migrate(image, listed, migration)
    except ImageGone:
        # An earlier attempt may have died just after it had brought what was being deleted.
        await migration.buckets.active.delete(str(image))
        await migration.checkpoint.add(listed.name, DELETED)
        return Outcome(str(listed), Result.SKIPPED, "deleted")
    except (BadName, OriginalMissing, OriginalRefused, SourceFault) as error:
        return Outcome(str(listed), Result.ERROR, failure_class(error), str(error))
    except ImageError as error:
        return Outcome(str(listed), Result.ERROR, error.fault, f"it is not taken over: {error.reason}")
    except Defect as error:
        return Outcome(str(listed), Result.ERROR, "defect", f"it is not taken over: {error}; the log has its trace")


async def _migrate(image: ImageKey, listed: ArchivedImage, migration: Migration) -> Outcome:
    await raise_if_deleted(image, migration.buckets)
    thumbnails, size, remark = migration.thumbnails, None, None
    found = await migration.buckets.active.stat(str(image))
    if found is None:
        raise_if_vanished(listed)
        size, remark = await _bring(image, migration)
        stages = migration.stages
    else:
        stages = migration.stages if migration.force else tuple(await thumbnails.missing(image))
        await thumbnails.forget(image, stages, made=migration.force)
    await _remove_rasterised(image, migration.buckets)
    failure = (await thumbnails.make(image, stages) if stages else None) or await thumbnails.failure(image)
    if failure is not None:
        return Outcome(str(image), Result.ERROR, failure.fault, f"it has no thumbnails: {failure.reason}", size)
    if listed.other is not None and not listed.svg:
        reason = f"v5 has {listed.other} of the same name, too: only {image} was taken over"
        return Outcome(str(image), Result.ERROR, "two-originals", reason, size)
    await migration.checkpoint.add(image.name, migration.finished(listed))
    result = Result.PROCESSED if found is None or stages else Result.SKIPPED
    if await thumbnails.shows_damage(image):
        remark = "; ".join(filter(None, (f"row {listed.id}: the original is cut off, or has errors", remark)))
        return Outcome(str(image), result, "damaged", remark, size)
    return Outcome(str(image), result, "mismatch" if remark else None, remark, size)


async def raise_if_deleted(image: ImageKey, buckets: Buckets) -> None:
    """Raises Gone when the image has a tombstone."""
    if await is_deleted(image, buckets=buckets):
        raise ImageGone(f"{image} was deleted")


def raise_if_vanished(listed: ArchivedImage) -> None:
    """Raises Gone for an original that an earlier run had made public: its tombstone may have been removed since."""
    if listed.state is not None and listed.state.startswith(_SVG) == listed.svg:
        raise ImageGone(f"{listed} was public once")


async def _bring(image: ImageKey, migration: Migration) -> tuple[int, str | None]:
    """Store the original in *active*. Returns its bytes, and what is odd about it."""
    active = migration.buckets.active
    async with fetch_original(image, migration) as (path, size):
        header, _ = await migration.pool.run(probe, Job(limits=migration.pool.limits), Header, path)
        try:
            await active.put_file(str(image), path, exclusive=True)
        except KeyTaken:
            log.info("the original is there already", image=str(image))
    try:
        await raise_if_deleted(image, migration.buckets)
    except ImageGone:
        await active.delete(str(image))
        raise
    odd = header.format is not image.format
    return size, f"it is named .{image.extension}, and its bytes are {header.format.upper()}" if odd else None


@asynccontextmanager
async def fetch_original(image: ImageKey, migration: Migration) -> AsyncIterator[tuple[Path, int]]:
    """The original from the source, as a file that goes with the context, and its bytes.

    Raises Missing, Refused, Faulty.
    """
    path = temporary_path(migration.temporary)
    try:
        async with migration.fetching:
            for delay in (*_RETRIES, None):
                await migration.pace.wait_turn()
                try:
                    size = await migration.source.fetch(str(image), path)
                    break
                except SourceFault as fault:
                    if delay is None:
                        raise
                    log.info("asking the source again", image=str(image), seconds=delay, reason=str(fault))
                    await asyncio.sleep(delay)
        yield path, size
    finally:
        path.unlink(missing_ok=True)


async def _remove_rasterised(image: ImageKey, buckets: Buckets) -> None:
    """Of an SVG, v5's successor may have published what had been made of it for old browsers."""
    if image.format is not Format.SVG:
        return
    for ending in (Format.JPG, Format.PNG):
        for spelt in (ending.lower(), ending.upper()):
            leftover = str(ImageKey(image.name, spelt))
            if await buckets.active.stat(leftover) is not None:
                log.info("removing what was rasterised", image=str(image), key=leftover)
                await buckets.active.delete(leftover)


def failure_class(error: Exception) -> str:
    """What the report calls it."""
    return {BadName: "bad-name", OriginalMissing: "missing", OriginalRefused: "refused", SourceFault: "source"}[
        type(error)
    ]
