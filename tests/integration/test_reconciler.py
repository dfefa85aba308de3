"""What the reconciler repairs, and what it survives, on the start of the embedded default."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.eventually import eventually
from tests.support.memory import MemoryStorage
from tests.support.pictures import photo

from common.errors import StorageFault
from common.images.formats import Format, Output
from common.images.names import ImageKey
from common.images.plan import Plan
from common.images.records import Record, Stage, encode_record, record_key
from common.images.sizes import parse_sizes
from common.messaging.embedded import EmbeddedBus
from common.messaging.events import Lane, RequestData, ThumbnailsRequested
from common.messaging.outbox import Outbox
from common.messaging.topology import RESIZER_FOLLOW_UP, RESIZER_LIVE
from common.sandbox.pool import Pool
from common.sandbox.protocol import Limits
from common.storage.base import Buckets, Entry
from publisher.context import PublisherContext
from publisher.maintenance.reconciler import Reconciler
from resizer.handlers import thumbnails_requested
from resizer.rendering import Renderer
from resizer.thumbnails import ResizerContext

IMAGE = ImageKey.parse("1475660224_0882910455.jpg")


class Flickering(MemoryStorage):
    """A store that cannot be listed the first two times."""

    failures = 2

    async def entries(self, prefix: str = "") -> AsyncIterator[Entry]:
        if self.failures:
            self.failures -= 1
            raise StorageFault("away")
        async for entry in super().entries(prefix):
            yield entry


@pytest.fixture
def plan() -> Plan:
    return Plan(parse_sizes(None), modern=(Output(format=Format.WEBP, quality=80),))


def reconciler(
    incoming: MemoryStorage, active: MemoryStorage, bus: EmbeddedBus, plan: Plan, after: float = 600
) -> Reconciler:
    buckets = Buckets(incoming, active)
    publisher_context = PublisherContext(buckets=buckets, bus=bus, outbox=Outbox(bus), plan=plan, ttl=3600)
    return Reconciler(publisher_context, after=after, interval=0.02, repair_all_at_start=True, temporary=Path())


async def test_a_store_that_cannot_be_listed_at_first_is_looked_at_again(plan: Plan) -> None:
    incoming, active, bus = MemoryStorage(), Flickering(), EmbeddedBus()
    await active.put(str(IMAGE), b"its event was lost with the process")
    running = asyncio.create_task(reconciler(incoming, active, bus, plan).run())
    assert await eventually(lambda: bus.depth(RESIZER_LIVE), "a request for thumbnails") == 1
    assert not running.done()
    running.cancel()


async def test_all_images_that_owe_modern_formats_are_asked_for(plan: Plan) -> None:
    incoming, active, bus = MemoryStorage(), MemoryStorage(), EmbeddedBus()
    for number in range(10):
        image = ImageKey(f"1475660224_{number}", Format.JPG)
        await active.put(str(image), b"original")
        for key in plan.variant_keys(image, Stage.BASE):
            await active.put(key, b"thumbnail")
        record = Record(configuration=plan.configuration(Stage.BASE))
        await active.put(record_key(image, Stage.BASE), encode_record(record))
    assert await reconciler(incoming, active, bus, plan).repair_everything()
    assert await bus.depth(RESIZER_FOLLOW_UP) == 10


async def test_what_other_settings_left_behind_follows_its_original(plan: Plan) -> None:
    incoming, active, bus = MemoryStorage(), MemoryStorage(), EmbeddedBus()
    await active.put(str(IMAGE), b"original")
    await incoming.put(f"{IMAGE.name}OLD.avif", b"made when there was such a size")
    await reconciler(incoming, active, bus, plan).repair_everything()
    assert set(incoming.objects) == set()
    assert set(active.objects) == {str(IMAGE), f"{IMAGE.name}OLD.avif"}


async def test_all_of_a_deleted_image_goes_whatever_the_settings_are_today(plan: Plan) -> None:
    incoming, active, bus = MemoryStorage(), MemoryStorage(), EmbeddedBus()
    await incoming.put(IMAGE.tombstone_key, b"")
    for key in (f"{IMAGE.name}OLD.avif", f"{IMAGE.name}.modern.json", IMAGE.crop_key, f"{IMAGE.name}MI.webp"):
        await active.put(key, b"came late")
    await reconciler(incoming, active, bus, plan).repair_everything()
    assert set(active.objects) == set()


@pytest.mark.parametrize("public", [False, True])
async def test_of_a_deleted_image_nothing_is_moved_or_requested(plan: Plan, *, public: bool) -> None:
    """Its deletion died after the tombstone. The reconciler looks for that first, and does not wait for a sweep."""
    incoming, active, bus = MemoryStorage(), MemoryStorage(), EmbeddedBus()
    await incoming.put(IMAGE.tombstone_key, b"")
    await incoming.put(str(IMAGE), b"original")
    await incoming.put(f"{IMAGE.name}OLD.webp", b"made when there was such a size")
    if public:
        await active.put(str(IMAGE), b"original")
    await reconciler(incoming, active, bus, plan, after=0).repair_incoming()
    assert set(incoming.objects) == {IMAGE.tombstone_key}
    assert set(active.objects) == set()
    assert await bus.depth(RESIZER_LIVE) == 0


async def test_a_request_for_formats_that_nobody_wants_any_more_does_nothing(plan: Plan) -> None:
    incoming, active, bus = MemoryStorage(), MemoryStorage(), EmbeddedBus()
    await incoming.put(str(IMAGE), photo(300, 200))
    async with Pool.open(1, Limits()) as pool:
        resizing = ResizerContext(Buckets(incoming, active), bus, Renderer(pool, Plan(plan.sizes)))
        data = RequestData(lane=Lane.FOLLOW_UP, stage=Stage.MODERN)
        await thumbnails_requested(ThumbnailsRequested(source="/test", subject=IMAGE, data=data), context=resizing)
    assert set(incoming.objects) == {str(IMAGE)}
