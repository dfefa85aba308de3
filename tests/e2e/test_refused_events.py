"""Publishes that a queue refuses: because it is full, or because its leader died when the channel asked for it."""

import asyncio
from contextlib import suppress

import pytest
from tests.support.bus import opened
from tests.support.eventually import eventually
from tests.support.handling import DELAYS, uploaded
from tests.support.proxy import Proxy
from tests.support.rabbitmq import VirtualHost

from common.errors import BusFault
from common.images.names import ImageKey
from common.images.records import Stage
from common.messaging.events import Lane, RequestData, StageData, ThumbnailsReady, ThumbnailsRequested
from common.messaging.outbox import Outbox
from common.messaging.rabbit import BrokerTimeouts, RabbitBus
from common.messaging.topology import PUBLISHER, RESIZER_FOLLOW_UP

# What makes a frame with basic.ack, of any tag, on any channel, a refusal: basic.nack has fields of the same length.
REFUSAL = rb"(\x01\x00.\x00\x00\x00\x0d\x00\x3c\x00)\x50(.{9}\xce)", rb"\g<1>" + b"\x78" + rb"\g<2>"


async def test_when_all_is_refused_over_one_connection_another_one_is_used(vhost: VirtualHost) -> None:
    timeouts = BrokerTimeouts(refused=1.0)
    async with Proxy.to(*vhost.address) as proxy, opened(vhost.url_through(proxy.port), DELAYS, timeouts) as bus:
        proxy.replace_over_these(*REFUSAL)
        with pytest.raises(BusFault, match="Nack"):
            await bus.publish(uploaded(0))
        await _until_taken(bus)


async def test_a_connection_over_which_a_queue_goes_on_to_refuse_is_kept_for_longer(
    vhost: VirtualHost,
) -> None:
    async with Proxy.to(*vhost.address) as proxy:
        timeouts = BrokerTimeouts(refused=1.0)
        async with opened(vhost.url_through(proxy.port), DELAYS, timeouts) as bus:
            proxy.replace(*REFUSAL)
            await _until_fault(bus, "has refused all")
            await _until_fault(bus, "Nack")
            until = asyncio.get_running_loop().time() + 1.5
            while asyncio.get_running_loop().time() < until:
                await asyncio.sleep(0.1)
                assert "Nack" in await _fault(bus)


async def test_when_all_is_refused_over_the_second_connection_for_good_too_a_third_is_used(vhost: VirtualHost) -> None:
    """As in RabbitMQ 3.10, where a queue has no leader yet when the second channel first publishes to it."""
    async with Proxy.to(*vhost.address) as proxy:
        timeouts = BrokerTimeouts(refused=0.2)
        async with opened(vhost.url_through(proxy.port), DELAYS, timeouts) as bus:
            proxy.replace(*REFUSAL)
            await _until_fault(bus, "has refused all")
            await _until_fault(bus, "Nack")
            proxy.replace_over_these(*REFUSAL)
            proxy.leave()
            await _until_fault(bus, "has refused all")
            await _until_taken(bus)


async def test_a_queue_that_is_full_holds_back_no_event_for_another_one(vhost: VirtualHost) -> None:
    image = ImageKey.parse("1475660224_1.jpg")
    request = RequestData(lane=Lane.FOLLOW_UP, stage=Stage.MODERN)
    ready = StageData(stage=Stage.BASE, configuration="x")
    async with Proxy.to(*vhost.address) as proxy, opened(vhost.url_through(proxy.port), DELAYS) as bus:
        outbox = Outbox(bus)
        proxy.replace(*REFUSAL)
        await outbox.send(ThumbnailsRequested(source="/test", subject=image, data=request))
        await vhost.purge(RESIZER_FOLLOW_UP.name)
        await vhost.fill(RESIZER_FOLLOW_UP.name)
        await outbox.send(ThumbnailsReady(source="/test", subject=image, data=ready))
        await vhost.purge(PUBLISHER.name)
        proxy.leave()
        await outbox.flush()
        assert await bus.depth(PUBLISHER) == 1
        assert outbox.is_behind()


async def _fault(bus: RabbitBus) -> str:
    with pytest.raises(BusFault) as caught:
        await bus.publish(uploaded(0))
    return str(caught.value)


async def _until_fault(bus: RabbitBus, word: str) -> None:
    async def told() -> bool:
        return word in await _fault(bus)

    await eventually(told, f"a fault that says {word}")


async def _until_taken(bus: RabbitBus) -> None:
    async def taken() -> bool:
        with suppress(BusFault):
            await bus.publish(uploaded(0))
            return True
        return False

    await eventually(taken, "a connection over which messages are taken")
