"""A broker that has no room for dead letters, or is killed: each event is handled, or a dead letter, in the end."""

import asyncio
from collections import Counter

from tests.support.bus import opened, wait_for_broker
from tests.support.eventually import eventually
from tests.support.handling import DELAYS, subscription, uploaded
from tests.support.mortal import mortal_broker
from tests.support.rabbitmq import VirtualHost

from common.errors import Permanent
from common.messaging.bus import Subscription
from common.messaging.events import Event, ImageUploaded
from common.messaging.outbox import Outbox
from common.messaging.topology import RESIZER_LIVE


async def test_a_dead_letter_waits_for_room_and_holds_no_other_event_up(vhost: VirtualHost) -> None:
    handled: set[str] = set()
    bad, good = uploaded(1), [uploaded(number) for number in range(2, 8)]

    async def handler(event: Event) -> None:
        if event.id == bad.id:
            raise Permanent("it cannot be handled")
        handled.add(event.id)

    async with opened(vhost.url, DELAYS) as bus:
        await vhost.fill(RESIZER_LIVE.dead)
        await bus.consume([subscription(handler, slots=2)])
        for event in (bad, *good):
            await bus.publish(event)

        async def all_good() -> bool:
            return handled == {event.id for event in good}

        await eventually(all_good, "all other events")

        async def is_dead() -> bool:
            return bad.id in [letter.message_id for letter in await bus.dead_letters(RESIZER_LIVE)]

        await asyncio.sleep(2)  # in which it is sent there again
        assert not await is_dead()
        await bus.drop(RESIZER_LIVE)  # what fills the queue
        await eventually(is_dead, "the dead letter")
        assert await bus.depth(RESIZER_LIVE) == 0


async def test_a_broker_that_is_killed_loses_nothing_that_it_had_confirmed() -> None:
    handled: Counter[str] = Counter()
    in_hand, release = asyncio.Event(), asyncio.Event()
    first, confirmed, later = (
        uploaded(1),
        [uploaded(number) for number in range(2, 22)],
        [uploaded(number) for number in range(22, 32)],
    )

    async def handler(event: Event) -> None:
        if event.id == first.id:
            in_hand.set()
            await release.wait()
        handled[event.id] += 1

    async with mortal_broker() as broker, opened(broker.url, DELAYS) as bus:
        await bus.consume([Subscription(RESIZER_LIVE, {ImageUploaded: handler}, slots=1, deadline=60)])
        outbox = Outbox(bus)
        late = asyncio.create_task(outbox.run())
        for event in (first, *confirmed):
            await bus.publish(event)
        await in_hand.wait()
        await broker.kill()
        for event in later:
            await outbox.send(event)
        release.set()
        await broker.start()

        async def all_handled() -> bool:
            return set(handled) == {event.id for event in (first, *confirmed, *later)}

        await eventually(all_handled, "all events")
        await wait_for_broker(bus)
        assert {event.id for event in confirmed if handled[event.id] != 1} == set()
        assert await bus.dead_letters(RESIZER_LIVE) == []
        late.cancel()
        await asyncio.gather(late, return_exceptions=True)
