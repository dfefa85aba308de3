"""What becomes of an uploaded file: checked, turned upright, named, stored, announced."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import structlog

from common.cancellation import to_the_end
from common.errors import Defect, ImageError, KeyTaken, StorageFault, Transient
from common.events import ImageUploaded
from common.images.names import ImageKey
from common.imaging.orient import Upright, orient
from common.imaging.pool import Pool
from common.imaging.probe import Header, probe
from common.imaging.protocol import Job
from common.outbox import Outbox
from common.storage import Storage
from common.temporary import temporary_copy

log = structlog.get_logger()


@dataclass(frozen=True)
class Uploads:
    """What taking an upload needs. `turning` is the pool that turns originals upright, or None to leave them."""

    incoming: Storage
    outbox: Outbox
    pool: Pool
    turning: Pool | None


async def accept(path: Path, *, uploads: Uploads) -> ImageKey:
    """Store the image in the file `path` under a fresh key and announce it.

    Returns once the original is stored. Raises ImageError when the file is no image that is accepted, and
    StorageFault; nothing is stored then, nor when it is cancelled.
    """
    header, _ = await uploads.pool.run(probe, Job(path=path, limits=uploads.pool.limits), Header)
    if uploads.turning is not None and header.orientation != 1:
        key = await _store_upright(path, header, uploads.incoming, uploads.turning)
    else:
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


async def _store_upright(path: Path, header: Header, incoming: Storage, turning: Pool) -> ImageKey:
    try:
        _, (data,) = await turning.run(orient, Job(path=path, limits=turning.limits), Upright)
    except (ImageError, Transient, Defect) as error:
        # Its header was in order, and its thumbnails will be upright all the same.
        log.warning("an original cannot be turned upright: storing it as it is", reason=str(error))
        return await _store(path, header, incoming)
    async with temporary_copy(data, path.parent) as upright:
        return await _store(upright, header, incoming)


async def _store(path: Path, header: Header, incoming: Storage) -> ImageKey:
    while True:
        key = ImageKey.new(header.format)
        try:
            await incoming.put_file(str(key), path, exclusive=True)
        except KeyTaken:
            continue  # another upload of this very second drew the same ten digits
        return key
