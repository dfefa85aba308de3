"""Publishes that the broker does not confirm, for an alarm or because the confirm is lost; and slow consumers."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from tests.support.bus import opened, wait_for_broker
from tests.support.eventually import eventually
from tests.support.mortal import MortalBroker, mortal_broker
from tests.support.proxy import Proxy
from tests.support.rabbitmq import VirtualHost

from common.errors import BusFault
from common.images.names import ImageKey
from common.messaging.bus import Subscription
from common.messaging.events import Event, ImageUploaded
from common.messaging.outbox import Outbox
from common.messaging.rabbit import BrokerTimeouts, RabbitBus
from common.messaging.topology import RESIZER_LIVE

DELAYS = (0.2, 0.4)
CONFIRM = rb"\x01\x00.\x00\x00\x00\x0d\x00\x3c\x00\x50.{9}\xce"  # a frame: basic.ack, of any tag, on any channel
CONSUMER_TIMEOUT = 2  # seconds


@pytest.fixture
async def broker() -> AsyncIterator[MortalBroker]:
    milliseconds = CONSUMER_TIMEOUT * 1000
    async with mortal_broker(f"-rabbit consumer_timeout {milliseconds} -rabbit channel_tick_interval 500") as private:
        yield private


def uploaded(number: int) -> ImageUploaded:
    return ImageUploaded(source="/test", subject=ImageKey.parse(f"1475660224_{number}.jpg"))


async def _trouble(bus: RabbitBus, word: str) -> None:
    async def told() -> bool:
        return word in (bus.trouble() or "")

    await eventually(told, f"trouble that says {word}")


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        (("set_vm_memory_high_watermark", "absolute", "1"), ("set_vm_memory_high_watermark", "0.8")),
        (("set_disk_free_limit", "9000GB"), ("set_disk_free_limit", "50MB")),
    ],
    ids=["memory", "disk"],
)
async def test_of_what_is_published_again_during_an_alarm_one_copy_arrives(
    broker: MortalBroker, begin: tuple[str, ...], end: tuple[str, ...]
) -> None:
    handled: Counter[str] = Counter()

    async def handler(event: Event) -> None:
        handled[event.id] += 1

    async with opened(broker.url, DELAYS, BrokerTimeouts(heartbeat=1, confirm=0.5, unconfirmed=5.0)) as bus:
        outbox = Outbox(bus)
        await outbox.send(uploaded(0))
        late = asyncio.create_task(outbox.run())
        await broker.control(*begin)
        events = [uploaded(number) for number in range(1, 6)]
        for event in events:
            await outbox.send(event)
        for _ in range(3):
            with pytest.raises(BusFault):
                await bus.publish(events[0])
        await _trouble(bus, "alarm")
        await asyncio.sleep(8)  # longer than a silent connection would live, and than a confirm is waited for
        await broker.control(*end)
        await wait_for_broker(bus)
        await bus.consume([Subscription(RESIZER_LIVE, {ImageUploaded: handler}, slots=4, deadline=5)])

        async def all_handled() -> bool:
            return len(handled) == 6

        await eventually(all_handled, "all events")
        await asyncio.sleep(1)
        assert set(handled.values()) == {1}
        assert bus.trouble() is None
        late.cancel()
        await asyncio.gather(late, return_exceptions=True)


async def test_a_consumer_that_the_broker_ends_for_being_slow_comes_back(broker: MortalBroker) -> None:
    taken = 0

    async def handler(_: Event) -> None:
        nonlocal taken
        taken += 1
        if taken == 1:
            await asyncio.sleep(CONSUMER_TIMEOUT * 3)

    async with opened(broker.url, DELAYS) as bus:
        await bus.consume([Subscription(RESIZER_LIVE, {ImageUploaded: handler}, slots=1, deadline=60)])
        await bus.publish(uploaded(1))

        async def again() -> bool:
            return taken >= 2

        await eventually(again, "the event once more")
        await wait_for_broker(bus)
        await bus.publish(uploaded(2))

        async def another() -> bool:
            return taken >= 3

        await eventually(another, "another event")


async def test_a_listener_whose_queue_is_removed_hears_on(broker: MortalBroker) -> None:
    """The queue is locked to its connection: only the broker itself removes it, or who may command the broker."""
    heard: list[Event] = []
    async with opened(broker.url, DELAYS) as bus:
        before = await _queues(broker)
        await bus.consume([], heard.append)

        async def own_queue() -> set[str]:
            return await _queues(broker) - before

        (queue,) = await eventually(own_queue, "the listener's queue")
        await broker.control("delete_queue", queue)

        async def another() -> bool:
            return bool(await _queues(broker) - before - {queue})

        await eventually(another, "another queue")
        await wait_for_broker(bus)
        event = uploaded(1)
        await bus.publish(event)

        async def has_heard() -> bool:
            return event in heard

        await eventually(has_heard, "the event")


async def _queues(broker: MortalBroker) -> set[str]:
    return set((await broker.control("list_queues", "name", "--silent")).split())


async def test_a_publish_whose_confirm_is_lost_is_sent_again_in_the_end(vhost: VirtualHost) -> None:
    async with Proxy.to(*vhost.address) as proxy:
        timeouts = BrokerTimeouts(confirm=0.3, unconfirmed=5.0)
        async with opened(vhost.url_through(proxy.port), DELAYS, timeouts) as bus:
            proxy.replace(CONFIRM, b"")
            event = uploaded(1)
            with pytest.raises(BusFault, match="no confirm"):
                await bus.publish(event)
            with pytest.raises(BusFault, match="no confirm"):
                await bus.publish(event)
            await _trouble(bus, "does not confirm")
            assert await bus.depth(RESIZER_LIVE) == 1
            proxy.leave()

            async def confirmed() -> bool:
                try:
                    await bus.publish(event)
                except BusFault:
                    return False
                return True

            await eventually(confirmed, "a confirm")
            assert await bus.depth(RESIZER_LIVE) == 2
            await wait_for_broker(bus)


async def test_beyond_a_thousand_unconfirmed_messages_a_publish_is_refused_at_once(vhost: VirtualHost) -> None:
    timeouts = BrokerTimeouts(confirm=60.0, unconfirmed=120.0)
    async with Proxy.to(*vhost.address) as proxy, opened(vhost.url_through(proxy.port), DELAYS, timeouts) as bus:
        proxy.stall()
        waiting = [asyncio.create_task(bus.publish(uploaded(number))) for number in range(1000)]
        await asyncio.sleep(0)
        with pytest.raises(BusFault, match="has not confirmed 1000 others"):
            await bus.publish(uploaded(1000))
        proxy.flow()
        await asyncio.gather(*waiting)
        await bus.publish(uploaded(1000))
        assert await bus.depth(RESIZER_LIVE) == 1001
