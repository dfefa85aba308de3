"""What becomes of an uploaded file: checked, turned upright, rid of its position, named, stored, announced."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import structlog

from common.cancellation import to_the_end
from common.errors import Defect, ImageError, KeyTaken, StorageFault, Transient
from common.images.names import Format, ImageKey
from common.imaging.location import Stripped, strip_location
from common.imaging.orient import Upright, orient
from common.imaging.probe import Header, probe
from common.messaging.events import ImageUploaded
from common.messaging.outbox import Outbox
from common.sandbox.pool import Pool
from common.sandbox.protocol import Job
from common.storage.base import Storage
from common.storage.temporary import temporary_copy

log = structlog.get_logger()


@dataclass(frozen=True)
class UploadContext:
    """What taking an upload needs. `turning` is the pool that turns originals upright, or None to leave them.

    `strip_location` says whether originals are stored without the position.
    """

    incoming: Storage
    outbox: Outbox
    pool: Pool
    turning: Pool | None
    strip_location: bool = False


async def accept(path: Path, *, uploads: UploadContext) -> ImageKey:
    """Store the image in the file `path` under a fresh key and announce it.

    Returns once the original is stored. Raises ImageError when the file is no image that is accepted, and
    StorageFault; nothing is stored then, nor when it is cancelled.
    """
    header, _ = await uploads.pool.run(probe, Job(limits=uploads.pool.limits), Header, path)
    async with AsyncExitStack() as copies:
        if uploads.turning is not None and header.orientation != 1:
            path = await _upright(path, uploads.turning, copies)
        if uploads.strip_location and header.format is not Format.SVG:
            path = await _without_location(path, uploads.pool, copies)
        key = await _store(path, header, uploads.incoming)
    event = ImageUploaded(source="/ingest", subject=key)
    log.info("original stored", image=str(key), event_id=event.id, width=header.width, height=header.height)
    try:
        await uploads.outbox.send(event)
    except asyncio.CancelledError:
        await to_the_end(_forget(key, uploads.incoming))
        raise
    return key


async def _forget(key: ImageKey, incoming: Storage) -> None:
    """Remove an original whose name nobody will be told."""
    try:
        await incoming.delete(str(key))
    except StorageFault as fault:
        log.warning("an upload that was given up stays until the sweep", image=str(key), reason=str(fault))


async def _upright(path: Path, turning: Pool, copies: AsyncExitStack) -> Path:
    """The file turned upright, for as long as `copies` is open."""
    try:
        _, (data,) = await turning.run(orient, Job(limits=turning.limits), Upright, path)
    except (ImageError, Transient, Defect) as error:
        # Its header was in order, and its thumbnails will be upright all the same.
        log.warning("an original cannot be turned upright: storing it as it is", reason=str(error))
        return path
    return await copies.enter_async_context(temporary_copy(data, path.parent))


async def _without_location(path: Path, pool: Pool, copies: AsyncExitStack) -> Path:
    """The file without the position, for as long as `copies` is open. What the pool raises keeps it from the store."""
    stripped, blobs = await pool.run(strip_location, Job(limits=pool.limits), Stripped, path)
    if not stripped.changed:
        return path
    return await copies.enter_async_context(temporary_copy(blobs[0], path.parent))


async def _store(path: Path, header: Header, incoming: Storage) -> ImageKey:
    while True:
        key = ImageKey.new(header.format)
        try:
            await incoming.put_file(str(key), path, exclusive=True)
        except KeyTaken:
            continue  # another upload of this very second drew the same ten digits
        return key
