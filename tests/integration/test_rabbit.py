"""What the bus over RabbitMQ promises beyond the contract: what happens when the broker or a consumer goes away."""

import asyncio
import json
from functools import partial
from typing import Any

import pytest
from tests.support.bus import opened, wait_for_broker
from tests.support.eventually import eventually
from tests.support.proxy import Proxy
from tests.support.rabbitmq import VirtualHost

from common.errors import BusFault, Transient
from common.images.names import ImageKey
from common.messaging.bus import Subscription
from common.messaging.events import Event, ImageUploaded
from common.messaging.rabbit import BrokerTimeouts, RabbitBus
from common.messaging.topology import DELIVERY_LIMIT, QUEUES, RESIZER_BULK, RESIZER_LIVE

EVENT = ImageUploaded(source="/test", subject=ImageKey.parse("1475660224_0882910455.jpg"))


async def test_every_queue_is_durable_replicated_and_loses_nothing(vhost: VirtualHost) -> None:
    async with opened(vhost.url):
        queues = await vhost.queues()
    for queue in QUEUES:
        for name in (queue.name, queue.dead, *(queue.retry(delay) for delay in (1, 10, 60, 600, 3600))):
            arguments = queues[name]["arguments"]
            assert isinstance(arguments, dict)
            assert arguments["x-queue-type"] == "quorum"
            assert arguments["x-overflow"] == "reject-publish"
            assert arguments["x-delivery-limit"] >= DELIVERY_LIMIT
            if name != queue.dead:
                assert arguments["x-dead-letter-strategy"] == "at-least-once"
                assert arguments["x-dead-letter-exchange"] == ""
                target = queue.dead if name == queue.name else queue.name
                assert arguments["x-dead-letter-routing-key"] == target


async def test_what_is_in_hand_when_the_connection_breaks_comes_again(vhost: VirtualHost) -> None:
    handled: list[Event] = []
    release = asyncio.Event()

    async def handler(event: Event) -> None:
        handled.append(event)
        await release.wait()

    async with Proxy.to(*vhost.address) as proxy:
        bus = RabbitBus(vhost.url_through(proxy.port), "test")
        bus.start()
        await wait_for_broker(bus)
        await bus.consume([Subscription(RESIZER_LIVE, {ImageUploaded: handler}, slots=1, deadline=60)])
        await bus.publish(EVENT)

        async def count(number: int) -> bool:
            return len(handled) >= number  # a busy machine may lose the connection once more

        await eventually(lambda: count(1), "the event")
        await proxy.cut()
        with pytest.raises(BusFault, match="broker"):
            await bus.publish(EVENT)
        await proxy.restore()
        await eventually(lambda: count(2), "the event once more")
        release.set()
        await wait_for_broker(bus)
        await bus.publish(EVENT)
        await eventually(lambda: count(3), "an event over the new connection")
        await bus.drain(1)
        await bus.close()


async def test_a_drain_does_not_wait_for_a_broker_that_is_silent_beyond_its_grace(vhost: VirtualHost) -> None:
    troubles: dict[str, str] = {}
    in_hand, release = asyncio.Event(), asyncio.Event()

    async def handler(_: Event) -> None:
        in_hand.set()
        await release.wait()

    lanes = [
        Subscription(queue, {ImageUploaded: handler}, slots=1, deadline=60, trouble=partial(troubles.get, queue.name))
        for queue in (RESIZER_LIVE, RESIZER_BULK)
    ]
    timeouts = BrokerTimeouts(heartbeat=600, answer=600)
    async with Proxy.to(*vhost.address) as proxy, opened(vhost.url_through(proxy.port), timeouts=timeouts) as bus:
        troubles[RESIZER_BULK.name] = "until the broker is silent"
        await bus.consume(lanes)
        await bus.publish(EVENT)
        await in_hand.wait()
        await wait_for_broker(bus)
        proxy.swallow()
        # The end of the event has the other queue looked at, whose consumer can start now.
        del troubles[RESIZER_BULK.name]
        release.set()
        await asyncio.sleep(0.2)
        async with asyncio.timeout(30):
            await bus.drain(1)


async def test_looking_at_a_queue_costs_no_connection_to_a_broker_that_is_slow(vhost: VirtualHost) -> None:
    timeouts = BrokerTimeouts(close=0.05)
    async with Proxy.to(*vhost.address) as proxy, opened(vhost.url_through(proxy.port), timeouts=timeouts) as bus:
        proxy.slow(0.3)
        assert await bus.depth(RESIZER_LIVE) == 0
        await bus.publish(ImageUploaded(source="/test", subject=ImageKey.parse("1475660224_1.jpg")))


async def test_a_message_whose_consumers_keep_dying_is_dead_lettered_by_the_broker(vhost: VirtualHost) -> None:
    taken = 0

    async def handler(_: Event) -> None:
        nonlocal taken
        taken += 1
        await asyncio.Event().wait()

    first = RabbitBus(vhost.url, "test")
    first.start()
    await wait_for_broker(first)
    await first.publish(EVENT)
    for life in range(1, DELIVERY_LIMIT + 2):
        bus = RabbitBus(vhost.url, f"life-{life}")
        bus.start()
        await bus.consume([Subscription(RESIZER_LIVE, {ImageUploaded: handler}, slots=1, deadline=60)])

        async def taken_again(life: int = life) -> bool:
            return taken >= life  # a busy machine may lose the connection once more

        await eventually(taken_again, f"delivery {life}")
        await bus.drain(0)
        await bus.close()
    (letter,) = await eventually(lambda: first.dead_letters(RESIZER_LIVE, 5), "a dead letter")
    assert "dying" in letter.reason
    assert await first.depth(RESIZER_LIVE) == 0
    await first.close()


async def test_what_is_no_event_is_dead_lettered(vhost: VirtualHost) -> None:
    async def handler(_: Event) -> None:
        raise AssertionError("it never gets here")

    async with opened(vhost.url) as bus:
        await bus.consume([Subscription(RESIZER_LIVE, {ImageUploaded: handler}, slots=1, deadline=60)])
        await vhost.put_message(RESIZER_LIVE.name, "{}")
        await vhost.put_message(RESIZER_LIVE.name, "no JSON", {"x-attempt": "many"})

        async def both() -> bool:
            return len(await bus.dead_letters(RESIZER_LIVE, 5)) == 2

        await eventually(both, "two dead letters")


async def test_a_listener_hears_on_after_events_that_only_newer_versions_understand(vhost: VirtualHost) -> None:
    heard: list[Event] = []
    async with opened(vhost.url) as bus:
        before = set(await vhost.queues())
        await bus.consume([], heard.append)

        async def own_queue() -> set[str]:
            return set(await vhost.queues()) - before

        (queue,) = await eventually(own_queue, "the listener's queue")
        newer = EVENT.model_dump(mode="json") | {"type": "ImageTagged"}
        for body in ("no JSON", json.dumps(newer), json.dumps(EVENT.model_dump(mode="json") | {"newer": 1})):
            await vhost.put_message(queue, body)

        async def has_heard() -> bool:
            return bool(heard)

        await eventually(has_heard, "the event that is understood")
    assert heard == [EVENT]


async def test_events_that_failed_together_do_not_come_back_together(vhost: VirtualHost) -> None:
    async def handler(_: Event) -> None:
        raise Transient("the store is away")

    async with opened(vhost.url, (600.0,)) as bus:
        await bus.consume([Subscription(RESIZER_LIVE, {ImageUploaded: handler}, slots=20, deadline=60)])
        for number in range(20):
            await bus.publish(EVENT.model_copy(update={"id": str(number)}))

        async def all_wait() -> bool:
            return await bus.retry_count(RESIZER_LIVE) == 20

        await eventually(all_wait, "the failed events in their retry queue")
        # Once: each time that messages are read and given back counts as a delivery, of which few are allowed.
        waiting: list[dict[str, Any]] = await vhost.messages(RESIZER_LIVE.retry(600.0))
    lives = {int(message["properties"]["expiration"]) for message in waiting}
    assert len(lives) > 10
    assert 450_000 <= min(lives) <= max(lives) <= 600_000
