"""Accepting an uploaded file: check it, turn it upright, strip its location, name it, store it, publish the event."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import structlog

from common.cancellation import to_the_end
from common.errors import Defect, ImageError, KeyTaken, StorageFault, Transient
from common.images.formats import Format
from common.images.names import ImageKey
from common.imaging.location import Stripped, strip_location
from common.imaging.orient import Upright, orient
from common.imaging.probe import SNIFF_BYTES, Header, probe, sniff
from common.messaging.events import ImageUploaded
from common.messaging.outbox import Outbox
from common.sandbox.pool import Pool
from common.sandbox.protocol import Job, nonsense
from common.storage.base import Storage
from common.storage.temporary import temporary_copy

log = structlog.get_logger()


@dataclass(frozen=True)
class UploadContext:
    """What accepting an upload depends on.

    `pool` reads headers. `orient_pool` turns originals upright; None stores them as they are. `strip_location` says
    whether the location is removed from originals before they are stored.
    """

    incoming: Storage
    outbox: Outbox
    pool: Pool
    orient_pool: Pool | None
    strip_location: bool = False


async def accept_upload(path: Path, *, context: UploadContext) -> ImageKey:
    """Store the image in the file `path` under a fresh key, then publish ImageUploaded. Returns the key.

    The order is that of docs/bucket-protocol.md#store-before-publish.
    Raises ImageError when the file is not an image that is accepted, and StorageFault. Nothing stays stored after an
    exception or a cancellation, except an original that was written although the store's answer was lost: it expires.
    """
    # What no decoder would take costs none: each fault ends a decoding process.
    announced = sniff(_read_head(path))
    header, _ = await context.pool.run(probe, Job(limits=context.pool.limits), Header, path)
    if header.format is not announced:
        raise nonsense()
    async with AsyncExitStack() as copies:
        if context.orient_pool is not None and header.orientation != 1:
            path = await _turn_upright(path, context.orient_pool, copies)
        if context.strip_location and header.format is not Format.SVG:
            path = await _strip_location(path, context.pool, copies)
        key = await _store(path, header, context.incoming)
    # docs/bucket-protocol.md#store-before-publish
    event = ImageUploaded(source="/ingest", subject=key)
    log.info("original stored", image=str(key), event_id=event.id, width=header.width, height=header.height)
    try:
        await context.outbox.send(event)
    except asyncio.CancelledError:
        await to_the_end(_remove(key, context.incoming))
        raise
    return key


def announced_format(path: Path) -> str:
    """The format that the file's first bytes announce, or `unknown`."""
    try:
        return sniff(_read_head(path))
    except ImageError:
        return "unknown"


def _read_head(path: Path) -> bytes:
    """Its first bytes, which have just been written and so are in memory."""
    with path.open("rb") as file:
        return file.read(SNIFF_BYTES)


async def _remove(key: ImageKey, incoming: Storage) -> None:
    """Remove the original of an upload that was cancelled: nobody learns its name."""
    try:
        await incoming.delete(str(key))
    except StorageFault as fault:
        log.warning("the original of a cancelled upload stays until it expires", image=str(key), reason=str(fault))


async def _turn_upright(path: Path, pool: Pool, copies: AsyncExitStack) -> Path:
    """A copy of the file turned upright, which exists until `copies` is closed; the file itself if turning fails."""
    try:
        _, (data,) = await pool.run(orient, Job(limits=pool.limits), Upright, path)
    except (ImageError, Transient, Defect) as error:
        # Its header is valid, and its variants will be upright anyway.
        log.warning("original cannot be turned upright, and is stored as it is", reason=str(error))
        return path
    return await copies.enter_async_context(temporary_copy(data, path.parent))


async def _strip_location(path: Path, pool: Pool, copies: AsyncExitStack) -> Path:
    """A copy of the file without its location, which exists until `copies` is closed; the file itself if it has none.

    What the pool raises is passed on: an original whose location cannot be removed is not stored.
    """
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
            continue  # another upload of this second drew the same ten digits
        return key
