"""What both buses promise of events that are handled; test_bus_retries.py has those that are not."""

import asyncio

import pytest
from tests.support.bus import opened
from tests.support.eventually import eventually
from tests.support.handling import DELAYS, Handling, subscription, uploaded
from tests.support.rabbitmq import VirtualHost

from common.errors import BusFault, Defect, Postponed, Transient
from common.images.names import ImageKey
from common.messaging.bus import Bus, Subscription
from common.messaging.events import ActivationRequested, Event, ImageDeleted
from common.messaging.topology import PUBLISHER, RESIZER_LIVE


async def test_a_postponed_event_comes_again_and_uses_up_no_attempt(bus: Bus) -> None:
    async def act(number: int) -> None:
        if number <= 2 * len(DELAYS) + 2:
            raise Postponed("it is not its turn")

    handling = Handling(act)
    await bus.consume([subscription(handling, slots=1)])
    await bus.publish(uploaded())
    await eventually(lambda: handling.count(2 * len(DELAYS) + 3), "the event's turn")
    assert await bus.dead_letters(RESIZER_LIVE, 10) == []


async def test_while_a_subscription_has_trouble_nothing_is_taken(bus: Bus) -> None:
    trouble: list[str] = []

    async def act(number: int) -> None:
        if number == 1:
            trouble.append("its tools are missing")
            raise Transient(trouble[0])

    handling = Handling(act)
    await bus.consume([subscription(handling, slots=1, trouble=lambda: trouble[0] if trouble else None)])
    for number in range(3):
        await bus.publish(uploaded(number))
    await eventually(lambda: handling.count(1), "the first event")
    await asyncio.sleep(1.5)  # a retry would have come, and other events
    assert len(handling.events) == 1
    trouble.clear()
    await eventually(lambda: handling.count(4), "all events, and one of them again")
    assert {event.subject for event in handling.events} == {uploaded(number).subject for number in range(3)}


async def test_a_bus_goes_on_until_a_task_of_it_ends_by_a_defect(bus: Bus) -> None:
    ends = False

    def trouble() -> str | None:
        if ends:
            raise Defect("its trouble cannot be told")
        return None

    handling = Handling()
    await bus.consume([subscription(handling, slots=1, trouble=trouble)])
    running = asyncio.create_task(bus.run())
    await bus.publish(uploaded(1))
    await eventually(lambda: handling.count(1), "an event")
    assert not running.done()
    ends = True
    await bus.publish(uploaded(2))
    with pytest.raises(Defect, match="cannot be told"):
        await asyncio.wait_for(running, 60)


async def test_a_bus_that_is_drained_has_not_ended(bus: Bus) -> None:
    await bus.consume([subscription(Handling())])
    running = asyncio.create_task(bus.run())
    await asyncio.sleep(0)
    await bus.drain(0.1)
    await asyncio.sleep(0.1)
    assert not running.done()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_service_without_trouble_takes_what_another_leaves(vhost: VirtualHost) -> None:
    ill, well = Handling(), Handling()
    async with opened(vhost.url, DELAYS) as first, opened(vhost.url, DELAYS) as second:
        await first.consume([subscription(ill, trouble=lambda: "its tools are missing")])
        await second.consume([subscription(well)])
        for number in range(10):
            await first.publish(uploaded(number))
        await eventually(lambda: well.count(10), "all events")
    assert ill.events == []


async def test_an_event_arrives_as_it_was_sent_also_one_sent_before_anyone_listened(bus: Bus) -> None:
    handling = Handling()
    first, second = uploaded(1), uploaded(2)
    await bus.publish(first)
    assert await eventually(lambda: bus.depth(RESIZER_LIVE), "a message that waits") == 1
    await bus.consume([subscription(handling)])
    await bus.publish(second)
    await eventually(lambda: handling.count(2), "both events")
    assert handling.events == [first, second]
    await eventually(lambda: _empty(bus), "an empty queue")


async def _empty(bus: Bus) -> bool:
    return await bus.depth(RESIZER_LIVE) == 0


async def test_each_queue_gets_its_own_events(bus: Bus) -> None:
    resizer, publisher = Handling(), Handling()
    await bus.consume(
        [
            subscription(resizer),
            Subscription(PUBLISHER, {ActivationRequested: publisher}, slots=1, deadline=5),
        ]
    )
    requested = ActivationRequested(source="/test", subject=ImageKey.parse("1475660224_1.jpg"))
    await bus.publish(requested)
    await bus.publish(uploaded())
    await eventually(lambda: resizer.count(1), "the upload")
    await eventually(lambda: publisher.count(1), "the request")
    assert publisher.events == [requested]


async def test_no_more_are_handled_at_once_than_there_are_slots(bus: Bus) -> None:
    now, most = 0, 0

    async def act(_: int) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.02)
        now -= 1

    handling = Handling(act)
    for number in range(20):
        await bus.publish(uploaded(number))
    await bus.consume([subscription(handling, slots=3)])
    await eventually(lambda: handling.count(20), "all events")
    assert most == 3


async def test_draining_finishes_what_is_in_hand_and_takes_nothing_more(bus: Bus) -> None:
    release, finished = asyncio.Event(), 0

    async def act(_: int) -> None:
        nonlocal finished
        await release.wait()
        await bus.publish(ActivationRequested(source="/test", subject=ImageKey.parse("1475660224_1.jpg")))
        finished += 1

    handling = Handling(act)
    for number in range(5):
        await bus.publish(uploaded(number))
    await bus.consume([subscription(handling, slots=2)])
    await eventually(lambda: handling.count(2), "two in hand")
    draining = asyncio.create_task(bus.drain(60))
    await asyncio.sleep(0.1)
    release.set()
    await draining
    assert (len(handling.events), finished) == (2, 2)
    assert await bus.depth(RESIZER_LIVE) == 3
    assert await bus.depth(PUBLISHER) == 2


async def test_a_publish_that_nobody_can_take_is_a_fault(vhost: VirtualHost) -> None:
    async with opened(vhost.url, DELAYS) as bus:
        await vhost.remove_queue("resizer.live")
        with pytest.raises(BusFault):
            await bus.publish(uploaded())


async def test_whoever_listens_hears_of_every_event_and_takes_none_away(bus: Bus) -> None:
    handling, heard = Handling(), list[Event]()
    await bus.consume([subscription(handling)], heard.append)

    async def listens() -> bool:
        await bus.publish(ImageDeleted(source="/test", subject=uploaded(99).subject))  # which is nobody's work
        return bool(heard)

    await eventually(listens, "news")
    heard.clear()
    for number in range(3):
        await bus.publish(uploaded(number))
    await eventually(lambda: handling.count(3), "three events")

    async def all_heard() -> bool:
        return {event.subject for event in heard} >= {event.subject for event in handling.events}

    await eventually(all_heard, "news of all three")
    assert len(handling.events) == 3
