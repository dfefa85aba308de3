"""What any listener hears of versions that became public after their original."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.support.bus import opened, wait_for_broker
from tests.support.commands import put
from tests.support.eventually import eventually
from tests.support.rabbitmq import VirtualHost

from common.images.formats import Format, Output
from common.images.names import ImageKey
from common.images.plan import Plan
from common.images.records import Failure, Record, Stage, encode_record, record_key
from common.images.sizes import parse_sizes
from common.messaging.bus import Bus
from common.messaging.embedded import EmbeddedBus
from common.messaging.events import (
    Event,
    FailureData,
    ImageActivated,
    StageData,
    ThumbnailsActivated,
    ThumbnailsFailed,
    ThumbnailsReady,
)
from common.messaging.outbox import Outbox
from common.messaging.rabbit import RabbitBus
from common.storage.base import Buckets
from common.storage.local import LocalStorage
from publisher.context import PublisherContext
from publisher.handlers import thumbnails_failed, thumbnails_ready
from publisher.maintenance.repairs import finish_move

IMAGE = ImageKey.parse("1475660224_0882910455.jpg")
PLAN = Plan(parse_sizes(None), modern=(Output(format=Format.WEBP, quality=80),))
FAILURE = Failure(fault="damaged", reason="nothing can be made out")


@pytest.fixture
def buckets(tmp_path: Path) -> Buckets:
    return Buckets(LocalStorage.open(tmp_path / "incoming"), LocalStorage.open(tmp_path / "active"))


def publisher_context(buckets: Buckets, bus: Bus) -> PublisherContext:
    return PublisherContext(buckets=buckets, bus=bus, outbox=Outbox(bus), plan=PLAN, ttl=3600)


async def listening() -> tuple[EmbeddedBus, list[Event]]:
    bus, heard = EmbeddedBus(), list[Event]()
    await bus.consume((), heard.append)
    return bus, heard


async def rendered(buckets: Buckets, stage: Stage = Stage.MODERN, failed: Failure | None = None) -> str:
    """Versions and their record, in *incoming*. Returns the configuration."""
    configuration = PLAN.configuration(stage)
    if failed is None:
        await put(buckets.incoming, *PLAN.variant_keys(IMAGE, stage))
    record = Record(stage=stage, configuration=configuration, failed=failed)
    await buckets.incoming.put(record_key(IMAGE, stage), encode_record(record))
    return configuration


def ready(configuration: str, stage: Stage = Stage.MODERN) -> ThumbnailsReady:
    data = StageData(stage=stage, configuration=configuration)
    return ThumbnailsReady(source="/resizer", subject=IMAGE, data=data)


@pytest.mark.parametrize("stage", Stage)
async def test_versions_that_follow_are_announced_once_they_are_public(buckets: Buckets, stage: Stage) -> None:
    bus, heard = await listening()
    await put(buckets.active, str(IMAGE))
    configuration = await rendered(buckets, stage)
    for delivery in range(2):  # the second is one that a death before its acknowledgement leads to
        await thumbnails_ready(ready(configuration, stage), context=publisher_context(buckets, bus))
        assert len(heard) == delivery + 1
        event = heard[-1]
        assert isinstance(event, ThumbnailsActivated)
        assert (event.subject, event.data.stage, event.data.configuration) == (IMAGE, stage, configuration)
        assert event.data.failed is None
    for key in (*PLAN.variant_keys(IMAGE, stage), record_key(IMAGE, stage)):
        assert await buckets.active.stat(key) is not None


async def test_a_failure_that_follows_says_that_it_is_one(buckets: Buckets) -> None:
    bus, heard = await listening()
    await put(buckets.active, str(IMAGE))
    data = FailureData(stage=Stage.BASE, configuration=await rendered(buckets, Stage.BASE, FAILURE), failed=FAILURE)
    event = ThumbnailsFailed(source="/resizer", subject=IMAGE, data=data)
    await thumbnails_failed(event, context=publisher_context(buckets, bus))
    assert [event.data.failed for event in heard if isinstance(event, ThumbnailsActivated)] == [FAILURE]


async def private(buckets: Buckets) -> None:
    await put(buckets.incoming, str(IMAGE))


async def deleted(buckets: Buckets) -> None:
    await put(buckets.active, str(IMAGE))
    await put(buckets.incoming, IMAGE.tombstone_key)


async def gone(_: Buckets) -> None:
    """Neither bucket has the original."""


@pytest.mark.parametrize("make", [private, deleted, gone])
async def test_of_what_is_not_public_nothing_is_announced(
    buckets: Buckets, make: Callable[[Buckets], Awaitable[None]]
) -> None:
    bus, heard = await listening()
    await make(buckets)
    configuration = await rendered(buckets)
    await thumbnails_ready(ready(configuration), context=publisher_context(buckets, bus))
    if make is deleted:
        await make(buckets)
        await rendered(buckets)
        await finish_move(IMAGE, set(), context=publisher_context(buckets, bus))
    assert heard == []


async def test_a_finished_move_announces_what_it_moved(buckets: Buckets) -> None:
    bus, heard = await listening()
    await put(buckets.active, str(IMAGE))
    await put(buckets.incoming, str(IMAGE))
    await rendered(buckets, Stage.BASE)
    await finish_move(IMAGE, set(), context=publisher_context(buckets, bus))
    assert [type(event) for event in heard] == [ImageActivated]
    await rendered(buckets, Stage.MODERN)
    await finish_move(IMAGE, set(), context=publisher_context(buckets, bus))
    stages = [event.data.stage for event in heard if isinstance(event, ThumbnailsActivated)]
    assert stages == [Stage.BASE, Stage.MODERN]


async def test_a_broker_that_is_away_undoes_no_move_and_hears_of_it_later(buckets: Buckets, vhost: VirtualHost) -> None:
    away = RabbitBus(vhost.url, "test")
    publishing = publisher_context(buckets, away)
    await put(buckets.active, str(IMAGE))
    await thumbnails_ready(ready(await rendered(buckets)), context=publishing)
    assert await buckets.active.stat(record_key(IMAGE, Stage.MODERN)) is not None
    heard: list[Event] = []
    async with opened(vhost.url) as listener:
        await listener.consume((), heard.append)
        await wait_for_broker(listener)
        away.start()
        await wait_for_broker(away)
        await publishing.outbox.flush()

        async def told() -> bool:
            return [type(event) for event in heard] == [ThumbnailsActivated]

        await eventually(told, "the event that had to wait")
        await away.close()
