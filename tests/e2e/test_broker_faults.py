"""Whatever the broker or the network to it does: all is handled, no slot is lost, and it is said while it lasts."""

import asyncio

import pytest
from tests.support.broker_faults import (
    CONSUMING,
    DELAYS,
    FAILS_ONCE,
    FAULTS,
    MEETING,
    PUBLISHING,
    SLOTS,
    TAKES_LONG,
    Act,
    Scenario,
    open_scenario,
    uploaded,
)
from tests.support.bus import wait_for_broker
from tests.support.eventually import eventually
from tests.support.rabbitmq import VirtualHost

from common.messaging.topology import RESIZER_LIVE


@pytest.mark.parametrize(("begin", "end"), FAULTS, ids=lambda act: act.__name__)
async def test_after_every_fault_all_is_handled_and_all_slots_are_back(
    vhost: VirtualHost, begin: Act, end: Act
) -> None:
    async with open_scenario(vhost) as scenario:
        await _two_in_hand(scenario)
        await begin(scenario)
        scenario.release.set()
        for number in (3, 4, 5):
            await scenario.outbox.send(uploaded(number))

        await eventually(scenario.told, "word of the trouble")
        await end(scenario)

        async def all_handled() -> bool:
            return scenario.handled == {1, 2, 3, 4, 5}

        await eventually(all_handled, "all five events")
        await wait_for_broker(scenario.bus)
        await _all_slots_are_back(scenario)
        await wait_for_broker(scenario.bus)
        assert await scenario.bus.dead_letters(RESIZER_LIVE, 10) == []


@pytest.mark.parametrize("silent", [PUBLISHING, CONSUMING, b""], ids=["publishing", "consuming", "both"])
async def test_a_drain_ends_in_silence_too(vhost: VirtualHost, silent: bytes) -> None:
    async with open_scenario(vhost) as scenario:
        await _two_in_hand(scenario)
        scenario.proxy.swallow(silent)
        scenario.release.set()
        await scenario.bus.drain(1)
        await eventually(lambda: _waits(vhost), "what was not acknowledged, back in its queue or in the retry queue")


async def _waits(vhost: VirtualHost) -> bool:
    """Whether the event that failed waits for its next attempt, however it came there."""
    queues = await vhost.queues()
    return any(queues[name].get("messages_ready") for name in (RESIZER_LIVE.name, RESIZER_LIVE.retry(DELAYS[0])))


async def _two_in_hand(scenario: Scenario) -> None:
    for number in (FAILS_ONCE, TAKES_LONG):
        await scenario.outbox.send(uploaded(number))

    async def held() -> bool:
        return scenario.in_hand == {FAILS_ONCE, TAKES_LONG}

    await eventually(held, "two events in hand")


async def _all_slots_are_back(scenario: Scenario) -> None:
    for number in range(SLOTS):
        await scenario.outbox.send(uploaded(MEETING + number))

    await asyncio.wait_for(scenario.met.wait(), 90)
