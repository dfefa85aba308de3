"""Every request and event, each on an image of its own, with stores that are real and decoders that take no time."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.instant_pool import InstantPool

from common.images.formats import Format
from common.images.names import ImageKey
from common.images.plan import Plan
from common.images.records import Failure, Record, Stage, encode_record, record_key
from common.images.sizes import Crop, parse_sizes
from common.imaging.probe import Header
from common.imaging.rotate import Rotated
from common.messaging.embedded import EmbeddedBus
from common.messaging.events import Event, ImageUploaded, StageData, ThumbnailsReady, ThumbnailsRequested
from common.messaging.outbox import Outbox
from common.sandbox.protocol import Job, Limits
from common.storage.base import Buckets, Entry, Storage
from common.storage.local import LocalStorage
from common.storage.status import read_status
from ingest.accept import UploadContext, accept_upload
from publisher.activation import activate
from publisher.context import EditContext, PublisherContext
from publisher.deletion import delete_images
from publisher.edits import recrop_image, rotate_image
from publisher.errors import ImageFailed
from publisher.handlers import thumbnails_ready
from publisher.moving import copy_original
from resizer.handlers import image_uploaded
from resizer.rendering import Renderer
from resizer.thumbnails import ResizerContext

PLAN = Plan(parse_sizes(None))
_CROP = Crop.parse("10x10+1+1")


class Counted(LocalStorage):
    """A folder that counts what it is asked for; a copy counts as what it is made of."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.counts: Counter[str] = Counter()

    async def put(self, key: str, data: bytes, *, exclusive: bool = False) -> None:
        self.counts["put"] += 1
        await super().put(key, data, exclusive=exclusive)

    async def put_all(self, objects: Mapping[str, bytes]) -> None:
        self.counts["put"] += len(objects)
        await super().put_all(objects)

    async def put_file(self, key: str, path: Path, *, exclusive: bool = False) -> None:
        self.counts["put"] += 1
        await super().put_file(key, path, exclusive=exclusive)

    async def get(self, key: str) -> bytes:
        self.counts["get"] += 1
        return await super().get(key)

    @asynccontextmanager
    async def as_file(self, key: str) -> AsyncIterator[Path]:
        self.counts["get"] += 1
        async with super().as_file(key) as path:
            yield path

    async def stat(self, key: str) -> Entry | None:
        self.counts["stat"] += 1
        return await super().stat(key)

    async def delete_all(self, keys: Collection[str]) -> None:
        self.counts["delete"] += 1
        await LocalStorage.delete_all(self, keys)

    async def entries(self, prefix: str = "") -> AsyncIterator[Entry]:
        self.counts["list"] += 1
        async for entry in super().entries(prefix):
            yield entry

    async def objects_of(self, names: Collection[str]) -> AsyncIterator[Entry]:
        self.counts["list"] += 1
        async for entry in super().objects_of(names):
            yield entry


class _Decoders:
    limits = Limits()

    async def run(self, _: object, __: Job, result: type[Any], ___: Path) -> tuple[Any, list[bytes]]:
        if result is Header:
            return Header(Format.JPG, width=300, height=200, frames=1, orientation=1, interlaced=False), []
        return Rotated(width=300, height=200), [b"turned"]


class _Bus(EmbeddedBus):
    """Whatever thumbnails are requested are there at once, as far as their record says."""

    def __init__(self, active: Storage) -> None:
        super().__init__()
        self._active = active

    async def publish(self, event: Event) -> None:
        if isinstance(event, ThumbnailsRequested):
            crop = _CROP if await self._active.stat(event.subject.crop_key) is not None else None
            shown = None if crop is None else crop.geometry.text
            record = Record(configuration=PLAN.configuration(Stage.BASE, crop), crop=shown)
            await self._active.put(record_key(event.subject, Stage.BASE), encode_record(record))


class Site:
    """All services without HTTP, on these buckets, or on two folders within `folder`."""

    def __init__(self, folder: Path, buckets: Buckets | None = None) -> None:
        self.temporary = folder / "temp"
        self.temporary.mkdir(parents=True)
        self.buckets = buckets or Buckets(Counted.open(folder / "incoming"), Counted.open(folder / "active"))
        bus = _Bus(self.buckets.active if buckets else LocalStorage.open(folder / "active"))
        decoders: Any = _Decoders()
        renderers: Any = InstantPool()
        outbox = Outbox(bus)
        self.uploads = UploadContext(incoming=self.buckets.incoming, outbox=outbox, pool=decoders, orient_pool=None)
        self.resizing = ResizerContext(buckets=self.buckets, bus=bus, renderer=Renderer(renderers, PLAN))
        self.publisher_context = PublisherContext(buckets=self.buckets, bus=bus, outbox=outbox, plan=PLAN, ttl=3600.0)
        self.edit_context = EditContext(
            buckets=self.buckets,
            bus=bus,
            outbox=outbox,
            pool=decoders,
            plan=PLAN,
            ttl=3600.0,
            temporary=self.temporary,
            edit_wait=60.0,
        )

    def counts(self) -> Counter[str]:
        """What both stores were asked for since this was last called."""
        total: Counter[str] = Counter()
        for bucket in (self.buckets.incoming, self.buckets.active):
            assert isinstance(bucket, Counted)
            total += bucket.counts
            bucket.counts = Counter()
        return total


Step = Callable[[Site, ImageKey], Awaitable[object]]


async def upload(site: Site) -> ImageKey:
    """The key of a new upload."""
    path = site.temporary / "upload"
    await asyncio.to_thread(path.write_bytes, b"\xff\xd8\xff, as a JPEG begins")
    try:
        return await accept_upload(path, context=site.uploads)
    finally:
        path.unlink()


async def _render(site: Site, image: ImageKey) -> None:
    await image_uploaded(ImageUploaded(source="/test", subject=image), context=site.resizing)


async def _publish(site: Site, image: ImageKey) -> None:
    await activate(image, context=site.publisher_context, wait=2.0)


async def _publish_at_once(site: Site, image: ImageKey) -> None:
    await activate(image, context=site.publisher_context)


async def _move(site: Site, image: ImageKey) -> None:
    await copy_original(image, buckets=site.buckets)
    await site.buckets.incoming.delete(str(image))


async def _follow(site: Site, image: ImageKey) -> None:
    data = StageData(stage=Stage.BASE, configuration=PLAN.configuration(Stage.BASE))
    event = ThumbnailsReady(source="/test", subject=image, data=data)
    await thumbnails_ready(event, context=site.publisher_context)


async def _fail(site: Site, image: ImageKey) -> None:
    failure = Failure(fault="broken", reason="it is broken")
    record = Record(configuration=PLAN.configuration(Stage.BASE), failed=failure)
    await site.buckets.incoming.put(record_key(image, Stage.BASE), encode_record(record))


async def _publish_failed(site: Site, image: ImageKey) -> None:
    with suppress(ImageFailed):
        await activate(image, context=site.publisher_context)
        raise AssertionError("a failed image was published")


async def _status(site: Site, image: ImageKey) -> None:
    await read_status(image, buckets=site.buckets, plan=PLAN)


async def _delete(site: Site, image: ImageKey) -> None:
    await delete_images(image, buckets=site.buckets, plan=PLAN, outbox=site.publisher_context.outbox)


async def _rotate(site: Site, image: ImageKey) -> None:
    await rotate_image(image, 90, context=site.edit_context)


async def _recrop(site: Site, image: ImageKey) -> None:
    await recrop_image(image, _CROP, context=site.edit_context)


@dataclass(frozen=True)
class Call:
    """A request or an event, and what was done with its image before."""

    step: Step
    before: tuple[Step, ...] = ()


_PUBLIC = (_render, _publish)
UPLOAD = "upload"
CALLS = {
    "render": Call(_render),
    "publish": Call(_publish, (_render,)),
    "publish before the thumbnails": Call(_publish_at_once),
    "publish once more": Call(_publish, _PUBLIC),
    "publish, failed": Call(_publish_failed, (_fail,)),
    "thumbnails that come late": Call(_follow, (_render, _move)),
    "status": Call(_status, _PUBLIC),
    "rotate": Call(_rotate, _PUBLIC),
    "recrop": Call(_recrop, _PUBLIC),
    "delete": Call(_delete, _PUBLIC),
}


async def prepared(site: Site, call: Call) -> ImageKey:
    """A new image with which all has been done that comes before the call."""
    image = await upload(site)
    for step in call.before:
        await step(site, image)
    return image
