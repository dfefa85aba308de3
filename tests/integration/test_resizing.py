"""What the resizer's handler promises about records: when it renders, when it only tells, and what it leaves."""

from collections.abc import AsyncIterator
from functools import partial

import pytest
from structlog.testing import capture_logs
from tests.support.bus import opened
from tests.support.eventually import eventually
from tests.support.memory import MemoryStorage
from tests.support.pictures import photo
from tests.support.rabbitmq import VirtualHost

from common.errors import FailureClass, StorageFault
from common.images.formats import Format, Output
from common.images.names import ImageKey
from common.images.plan import Plan
from common.images.records import Record, Stage, decode_record
from common.images.sizes import parse_sizes
from common.messaging.bus import Subscription
from common.messaging.embedded import EmbeddedBus
from common.messaging.events import Event, ImageUploaded, Lane, RequestData, ThumbnailsFailed, ThumbnailsRequested
from common.messaging.topology import PUBLISHER, RESIZER_FOLLOW_UP, RESIZER_LIVE
from common.sandbox.pool import Pool
from common.sandbox.protocol import Limits
from common.storage.base import Buckets
from resizer.handlers import image_uploaded, retries_exhausted, thumbnails_requested
from resizer.rendering import Renderer
from resizer.thumbnails import ResizerContext

IMAGE = ImageKey.parse("1475660224_0882910455.jpg")
RECORD = f"{IMAGE.name}.json"
EVENT = ImageUploaded(source="/test", subject=IMAGE)


class World:
    """Both buckets in memory, the in-process bus, and a real decoding process."""

    def __init__(self, pool: Pool) -> None:
        self.incoming, self.active, self.bus = MemoryStorage(), MemoryStorage(), EmbeddedBus()
        self.pool = pool

    async def resize(self, sizes: str | None = None) -> None:
        await image_uploaded(EVENT, context=self.resizing(sizes))

    def resizing(self, sizes: str | None = None) -> ResizerContext:
        buckets = Buckets(self.incoming, self.active)
        return ResizerContext(buckets=buckets, bus=self.bus, renderer=Renderer(self.pool, Plan(parse_sizes(sizes))))

    def record(self) -> Record:
        return decode_record(self.incoming.objects[RECORD])

    async def told(self) -> int:
        return await self.bus.depth(PUBLISHER)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with Pool.open(1, Limits()) as pool:
        found = World(pool)
        await found.incoming.put(str(IMAGE), photo(300, 200))
        yield found


async def test_the_same_event_twice_renders_once_and_tells_twice(world: World) -> None:
    await world.resize()
    first = dict(world.incoming.objects)
    await world.incoming.put(f"{IMAGE.name}BI.jpg", b"not touched again")
    await world.resize()
    assert world.incoming.objects == first | {f"{IMAGE.name}BI.jpg": b"not touched again"}
    assert await world.told() == 2


async def test_another_configuration_renders_again(world: World) -> None:
    await world.resize()
    await world.resize('[{"suffix": "XL", "convert": ["-resize", "90x90"]}]')
    assert [variant.key for variant in world.record().variants] == [f"{IMAGE.name}XL.jpg"]
    assert f"{IMAGE.name}XL.jpg" in world.incoming.objects


async def test_a_stage_that_the_settings_lack_is_refused_and_leaves_no_record(world: World) -> None:
    told: list[Event] = []
    await world.bus.consume((), told.append)
    request = RequestData(lane=Lane.FOLLOW_UP, stage=Stage.MODERN)
    await thumbnails_requested(
        ThumbnailsRequested(source="/test", subject=IMAGE, data=request), context=world.resizing()
    )
    (answer,) = told
    assert isinstance(answer, ThumbnailsFailed)
    assert answer.data.failed.fault == "no-such-stage"
    assert set(world.incoming.objects) == {str(IMAGE)}


async def test_used_up_attempts_are_written_down_and_do_not_last(world: World) -> None:
    with capture_logs() as logged:
        fault = StorageFault("S3 bucket secret-bucket at http://store.internal:9000: 503")
        await retries_exhausted(EVENT, fault, context=world.resizing())
    failed = world.record().failed
    assert failed is not None
    assert failed.fault == FailureClass.GAVE_UP
    assert "could not be rendered" in failed.reason
    assert "again" not in failed.reason, "nothing renders a private image again by itself"
    assert "store" not in failed.reason, "everybody can read it"
    assert "bucket" not in failed.reason
    assert str(fault) in [line.get("reason") for line in logged]
    assert await world.told() == 1
    await world.resize()  # a replay, or the reconciler
    assert world.record().failed is None
    assert len(world.record().variants) == 3


async def test_what_is_left_of_an_image_whose_original_is_gone_is_removed(world: World) -> None:
    await world.resize()
    await world.incoming.delete(str(IMAGE))
    await world.active.put(f"{IMAGE.name}MI.jpg", b"left")
    await world.resize()
    assert world.incoming.objects == {}
    assert world.active.objects == {}


async def test_a_store_that_fails_is_not_an_original_that_is_gone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.resize()

    async def away(_: str) -> None:
        raise StorageFault("away")

    monkeypatch.setattr(world.incoming, "stat", away)
    with pytest.raises(StorageFault):
        await world.resize()
    assert len(world.incoming.objects) == 5


async def test_an_original_that_is_public_already_gets_its_thumbnails_there(world: World) -> None:
    await world.active.copy_from(world.incoming, str(IMAGE))
    await world.incoming.delete(str(IMAGE))
    await world.resize()
    assert len(world.active.objects) == 5
    assert world.incoming.objects == {}


@pytest.mark.parametrize("crop", [None, "100x50+0+0"])
async def test_modern_formats_that_cannot_be_asked_for_cost_no_thumbnails(
    crop: str | None, world: World, vhost: VirtualHost
) -> None:
    """The follow-up queue refuses for longer than all retries take. The base record stays, and the request comes."""
    plan = Plan(parse_sizes(None), modern=(Output(format=Format.WEBP, quality=80),))
    buckets = Buckets(world.incoming, world.active)
    place = world.incoming
    if crop is not None:
        place = world.active
        await place.put(IMAGE.crop_key, crop.encode())
        await place.copy_from(world.incoming, str(IMAGE))
        await world.incoming.delete(str(IMAGE))
    renderer = Renderer(world.pool, plan)
    async with opened(vhost.url, retry_delays=(0.01, 0.01)):
        pass  # all queues are declared
    await vhost.fill(RESIZER_FOLLOW_UP.name)
    async with opened(vhost.url, retry_delays=(0.01, 0.01)) as bus:
        attempts = 0

        async def handle(event: ImageUploaded) -> None:
            nonlocal attempts
            attempts += 1
            await image_uploaded(event, context=context)

        async def many_attempts() -> bool:
            return attempts > 10

        context = ResizerContext(buckets, bus, renderer)
        last_words = partial(retries_exhausted, context=context)
        await bus.consume(
            [Subscription(RESIZER_LIVE, {ImageUploaded: handle}, slots=1, deadline=60, retries_exhausted=last_words)]
        )
        await bus.publish(EVENT)
        await eventually(many_attempts, "more attempts than there are retries")
        record = decode_record(place.objects[RECORD])
        assert (record.failed, len(record.variants), record.crop) == (None, 3, crop)
        await vhost.purge(RESIZER_FOLLOW_UP.name)
        await eventually(lambda: bus.depth(RESIZER_FOLLOW_UP), "a request for the modern formats")
        assert await bus.dead_letters(RESIZER_LIVE, 10) == []
