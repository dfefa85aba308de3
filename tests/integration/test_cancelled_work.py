"""An upload, an edit or a sweep that is cancelled, wherever it waits, leaves no lock, no file and no half photo."""

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request
from tests.support.commands import put
from tests.support.deployment import keys
from tests.support.folders import Folders
from tests.support.instant_pool import InstantPool
from tests.support.interruption import MANNERS, Manner, points
from tests.support.memory import MemoryStorage
from tests.support.stores import KEY

from common.errors import StorageFault
from common.http.bodies import BodyLimits
from common.images.formats import Format
from common.images.names import ImageKey, is_original
from common.images.plan import Plan
from common.images.records import Record, Stage, encode_record, record_key
from common.images.sizes import Crop, parse_sizes
from common.imaging.orient import Upright
from common.imaging.probe import Header
from common.imaging.rotate import Rotated
from common.messaging.embedded import EmbeddedBus
from common.messaging.events import Event, ImageUploaded, ThumbnailsRequested
from common.messaging.outbox import Outbox
from common.sandbox.protocol import Job, Limits
from common.storage.base import Buckets, Storage
from ingest.accept import UploadContext, accept_upload
from ingest.http.client_limits import ClientLimits
from ingest.http.receive import receive_file
from ingest.http.upload_budget import UploadBudget
from publisher.context import EditContext, PublisherContext
from publisher.edits import recrop_image, rotate_image
from publisher.maintenance.lock import Lock
from publisher.maintenance.sweep import Sweep
from resizer.handlers import image_uploaded
from resizer.rendering import Renderer
from resizer.thumbnails import ResizerContext

PLAN = Plan(parse_sizes(None))
IMAGE = ImageKey.parse(KEY)
CROP = Crop.parse("10x10+1+1")
SIDEWAYS = 6

everywhere = pytest.mark.parametrize("manner", MANNERS, ids=str)


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path)


class Decoders:
    """In the place of decoding processes, whose answers are all that matters here."""

    limits = Limits()

    def __init__(self, orientation: int = 1) -> None:
        self._orientation = orientation

    async def run(self, _: object, __: Job, result: type[Any], ___: Path) -> tuple[Any, list[bytes]]:
        await asyncio.sleep(0)
        if result is Header:
            return Header(Format.JPG, 300, 200, frames=1, orientation=self._orientation, interlaced=False), []
        return {Upright: Upright, Rotated: Rotated}[result](width=300, height=200), [b"turned"]


class Bus:
    """Takes a moment. Its resizer is done with a request at once, if there are buckets for it to write to."""

    def __init__(self, buckets: Buckets | None = None) -> None:
        self._buckets = buckets

    async def publish(self, event: Event) -> None:
        await asyncio.sleep(0)
        if self._buckets is not None and isinstance(event, ThumbnailsRequested):
            crop = CROP if await self._buckets.active.stat(event.subject.crop_key) is not None else None
            shown = None if crop is None else crop.geometry.text
            record = Record(configuration=PLAN.configuration(Stage.BASE, crop), crop=shown)
            await self._buckets.active.put(record_key(event.subject, Stage.BASE), encode_record(record))


@everywhere
async def test_an_upload_that_is_given_up_leaves_no_file(folders: Folders, manner: Manner) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="photo.jpg"\r\n\r\n'

    async def receive() -> None:
        protocol = BaseProtocol(asyncio.get_running_loop())
        protocol.connection_made(asyncio.Transport())
        body = StreamReader(protocol, 1 << 16)
        sending = asyncio.create_task(send(body))
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        request = make_mocked_request("POST", "/upload", headers, payload=body)
        clients = ClientLimits(trusted=(), uploads=1, upload_bytes=1 << 20, streams=1)
        try:
            async with receive_file(
                request, BodyLimits(1 << 20, 60, 60), UploadBudget(folders.temporary, 1 << 20), clients
            ) as path:
                await asyncio.sleep(0)
                assert path.read_bytes() == 3 * b"photo"
        finally:
            sending.cancel()

    async def send(body: StreamReader) -> None:
        for piece in (part, *3 * [b"photo"], b"\r\n--x--\r\n"):
            body.feed_data(piece)
            await asyncio.sleep(0.001)
        body.feed_eof()

    for point in points(manner):
        await point.interrupt(receive())
        assert folders.files() == {}


@everywhere
@pytest.mark.parametrize("orientation", [1, SIDEWAYS])
async def test_an_upload_whose_name_nobody_learns_is_not_stored(
    folders: Folders, manner: Manner, orientation: int
) -> None:
    pool: Any = Decoders(orientation)
    bus: Any = Bus()
    uploads = UploadContext(incoming=folders.buckets.incoming, outbox=Outbox(bus), pool=pool, orient_pool=pool)
    upload, original = folders.temporary / "upload", b"\xff\xd8\xff, as a JPEG begins"
    for point in points(manner):
        upload.write_bytes(original)  # as the copy under its key cannot be changed, this one must be new
        cancelled = await point.interrupt(accept_upload(upload, context=uploads))
        upload.unlink()
        assert folders.nothing_temporary()
        stored = set(folders.files().values())
        assert stored == (set() if cancelled else {original if orientation == 1 else b"turned"})
        for key in await keys(folders.buckets.incoming):
            await folders.buckets.incoming.delete(key)


def editing(folders: Folders) -> EditContext:
    pool: Any = Decoders()
    bus: Any = Bus(folders.buckets)
    return EditContext(
        buckets=folders.buckets,
        bus=bus,
        outbox=Outbox(bus),
        pool=pool,
        plan=PLAN,
        ttl=3600.0,
        temporary=folders.temporary,
        edit_wait=60.0,
    )


async def only_tombstones(incoming: Storage) -> bool:
    return all(key.startswith("tombstones/") for key in await keys(incoming))


async def originals(folders: Folders) -> set[str]:
    return {key for key in await keys(folders.buckets.active) if is_original(key)}


@everywhere
async def test_a_rotation_that_is_given_up_leaves_one_photo(tmp_path: Path, manner: Manner) -> None:
    """The old one where it is not deleted, and the new one, with its thumbnails, where it is."""
    for number, point in enumerate(points(manner, step=5)):
        folders = Folders(tmp_path / str(number))
        await put(folders.buckets.active, KEY)
        cancelled = await point.interrupt(rotate_image(IMAGE, 90, context=editing(folders)))
        assert folders.nothing_temporary()
        assert await only_tombstones(folders.buckets.incoming)
        found = await originals(folders)
        if await folders.buckets.incoming.stat(IMAGE.tombstone_key) is None:
            assert cancelled
            assert found == {KEY}
        else:
            (new,) = found - {KEY}
            assert await folders.buckets.active.stat(record_key(ImageKey.parse(new), Stage.BASE)) is not None


@everywhere
async def test_a_recrop_that_is_given_up_leaves_no_second_photo(tmp_path: Path, manner: Manner) -> None:
    for number, point in enumerate(points(manner)):
        folders = Folders(tmp_path / str(number))
        await put(folders.buckets.active, KEY)
        cancelled = await point.interrupt(recrop_image(IMAGE, CROP, context=editing(folders)))
        assert folders.nothing_temporary()
        assert await only_tombstones(folders.buckets.incoming)
        new = await keys(folders.buckets.active) - {KEY}
        assert not new if cancelled else len(new) == 3, "an original, its crop and its record"


@everywhere
async def test_a_sweep_that_is_stopped_leaves_no_lock_and_no_list(
    tmp_path: Path, manner: Manner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the next one goes on with it."""
    monkeypatch.setattr("publisher.maintenance.listing._HELD", 1)  # so that images are listed in a file
    monkeypatch.setattr("publisher.maintenance.listing._PAUSE", 0.0)
    bus: Any = Bus()
    for number, point in enumerate(points(manner, step=17)):
        folders = Folders(tmp_path / str(number))
        buckets = folders.buckets
        await put(buckets.incoming, "1_1.jpg", "1_2.jpg", "1_2BI.jpg", "1_3MI.jpg")
        await put(buckets.active, "1_2.jpg", "1_4.crop")
        sweep = Sweep(PublisherContext(buckets, bus, Outbox(bus), PLAN, ttl=-9.0), folders.temporary, grace=0.0)

        async def clean(sweep: Sweep = sweep, folders: Folders = folders) -> None:
            async with Lock(folders.buckets.incoming, "locks/clean", folders.temporary).hold() as held:
                assert held
                async with aclosing(sweep.candidates(thorough=True)) as items:
                    async for candidate in items:
                        await sweep.process(candidate)

        await point.interrupt(clean())
        assert folders.nothing_temporary()
        assert await buckets.incoming.stat("locks/clean") is None
        await clean()
        assert set(folders.files()) == {"active/1_2.jpg", "active/1_2BI.jpg"}


class Stuck(MemoryStorage):
    """Refuses one key, and takes its time for the others."""

    def __init__(self, refused: str) -> None:
        super().__init__()
        self.goes_on = asyncio.Event()
        self._refused = refused

    async def put(self, key: str, data: bytes, *, exclusive: bool = False) -> None:
        if key == self._refused:
            raise StorageFault(f"{key} is refused")
        await self.goes_on.wait()
        await super().put(key, data, exclusive=exclusive)


async def test_who_has_failed_writes_nothing_later() -> None:
    """What is tried again must not meet what is left of the attempt before it."""
    incoming = Stuck(IMAGE.variant_key("MI"))
    incoming.objects[KEY] = b"photo"
    incoming._written[KEY] = 0.0  # noqa: SLF001 - put would wait
    pool: Any = InstantPool()
    resizing = ResizerContext(
        buckets=Buckets(incoming, MemoryStorage()), bus=EmbeddedBus(), renderer=Renderer(pool, PLAN)
    )
    with pytest.raises(StorageFault):
        await image_uploaded(ImageUploaded(source="/test", subject=IMAGE), context=resizing)
    incoming.goes_on.set()
    await asyncio.sleep(0.05)
    assert set(incoming.objects) == {KEY}
