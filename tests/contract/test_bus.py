"""What both buses promise."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from tests.support.bus import opened
from tests.support.eventually import eventually
from tests.support.rabbitmq import VirtualHost

from common.errors import BusFault, Permanent, Postponed, Transient
from common.images.names import ImageKey
from common.messaging.bus import Bus, Handler, Subscription
from common.messaging.embedded import EmbeddedBus
from common.messaging.events import ActivationRequested, Event, ImageDeleted, ImageUploaded, ThumbnailsRequested, encode
from common.messaging.topology import PUBLISHER, RESIZER_LIVE

DELAYS = (0.05, 0.1)


@pytest.fixture(params=["embedded", "rabbit"])
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    if request.param == "embedded":
        embedded = EmbeddedBus(DELAYS)
        yield embedded
        await embedded.drain(0.1)
    else:
        async with VirtualHost.fresh() as vhost, opened(vhost.url, DELAYS) as rabbit:
            yield rabbit


def uploaded(number: int = 1) -> ImageUploaded:
    return ImageUploaded(source="/test", subject=ImageKey.parse(f"1475660224_{number}.jpg"))


def subscription(handler: Handler, *, slots: int = 4, deadline: float = 30, **more: object) -> Subscription:
    handlers = {ImageUploaded: handler, ThumbnailsRequested: handler}
    return Subscription(RESIZER_LIVE, handlers, slots=slots, deadline=deadline, **more)  # type: ignore[arg-type]


class Handling:
    """A handler that notes what it gets, and does what it is told."""

    def __init__(self, act: Callable[[int], Awaitable[None]] | None = None) -> None:
        self.events: list[Event] = []
        self._act = act

    async def __call__(self, event: Event) -> None:
        self.events.append(event)
        if self._act is not None:
            await self._act(len(self.events))

    async def count(self, number: int) -> bool:
        return len(self.events) >= number


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


@pytest.mark.parametrize("error", [Transient("store is away"), ValueError("a defect")])
async def test_a_handler_that_fails_is_tried_again(bus: Bus, error: Exception) -> None:
    async def act(attempt: int) -> None:
        if attempt < 3:
            raise error

    handling = Handling(act)
    await bus.consume([subscription(handling)])
    event = uploaded()
    await bus.publish(event)
    await eventually(lambda: handling.count(3), "the third attempt")
    assert handling.events == [event] * 3
    await asyncio.sleep(0.2)
    assert len(handling.events) == 3
    assert await bus.dead_letters(RESIZER_LIVE, 10) == []


async def test_only_the_queue_whose_handler_failed_gets_the_event_again(bus: Bus) -> None:
    async def act(attempt: int) -> None:
        if attempt == 1:
            raise Transient("not now")

    publisher, resizer = Handling(act), Handling()
    await bus.consume(
        [subscription(resizer), Subscription(PUBLISHER, {ActivationRequested: publisher}, slots=1, deadline=5)]
    )
    await bus.publish(ActivationRequested(source="/test", subject=ImageKey.parse("1475660224_1.jpg")))
    await eventually(lambda: publisher.count(2), "the second attempt")
    assert resizer.events == []


async def test_a_permanent_failure_is_put_aside_at_once(bus: Bus) -> None:
    async def act(_: int) -> None:
        raise Permanent("no such image")

    handling = Handling(act)
    await bus.consume([subscription(handling)])
    event = uploaded()
    await bus.publish(event)
    letters = await eventually(lambda: bus.dead_letters(RESIZER_LIVE, 10), "a dead letter")
    assert [(letter.body, letter.reason) for letter in letters] == [(encode(event).decode(), "no such image")]
    assert len(handling.events) == 1


async def test_when_the_attempts_are_used_up_it_is_said_and_put_aside(bus: Bus) -> None:
    async def act(_: int) -> None:
        raise Transient("store is away")

    told: list[tuple[Event, str]] = []

    async def retries_exhausted(event: Event, error: Exception) -> None:
        told.append((event, str(error)))

    handling = Handling(act)
    await bus.consume([subscription(handling, retries_exhausted=retries_exhausted)])
    event = uploaded()
    await bus.publish(event)
    letters = await eventually(lambda: bus.dead_letters(RESIZER_LIVE, 10), "a dead letter")
    assert [letter.reason for letter in letters] == ["store is away"]
    assert len(handling.events) == 1 + len(DELAYS)
    assert told == [(event, "store is away")]


async def test_a_dead_letter_survives_being_listed_and_can_be_replayed_with_new_attempts(bus: Bus) -> None:
    broken = True

    async def act(_: int) -> None:
        if broken:
            raise Transient("store is away")

    handling = Handling(act)
    await bus.consume([subscription(handling)])
    await bus.publish(uploaded())
    await eventually(lambda: bus.dead_letters(RESIZER_LIVE, 10), "a dead letter")
    for _ in range(3):
        assert len(await bus.dead_letters(RESIZER_LIVE, 10)) == 1
    used = len(handling.events)
    assert await eventually(lambda: bus.replay(RESIZER_LIVE), "a replay") == 1
    await eventually(lambda: handling.count(2 * used), "all attempts anew")
    await eventually(lambda: bus.dead_letters(RESIZER_LIVE, 10), "the dead letter once more")
    broken = False
    assert await eventually(lambda: bus.replay(RESIZER_LIVE), "a replay") == 1
    await eventually(lambda: handling.count(2 * used + 1), "the replayed event")
    await asyncio.sleep(0.2)
    assert len(handling.events) == 2 * used + 1
    assert await bus.dead_letters(RESIZER_LIVE, 10) == []


async def test_a_replay_ends_also_when_everything_is_put_aside_again(bus: Bus) -> None:
    async def act(_: int) -> None:
        raise Permanent("no such image")

    handling = Handling(act)
    await bus.consume([subscription(handling)])
    for number in (1, 1, 2):
        await bus.publish(uploaded(number))

    async def aside() -> bool:
        return len(await bus.dead_letters(RESIZER_LIVE, 10)) == 3

    await eventually(aside, "three dead letters")
    replayed = 0
    while replayed < 3:  # a broker gives letters that were just listed back in its own time
        replayed += await bus.replay(RESIZER_LIVE)
    assert replayed == 3
    await eventually(aside, "three dead letters again")
    assert len(handling.events) == 6


async def test_an_event_nothing_handles_is_put_aside(bus: Bus) -> None:
    await bus.consume([Subscription(RESIZER_LIVE, {}, slots=1, deadline=5)])
    await bus.publish(uploaded())
    (letter,) = await eventually(lambda: bus.dead_letters(RESIZER_LIVE, 10), "a dead letter")
    assert "ImageUploaded" in letter.reason


async def test_a_handler_that_hangs_is_stopped_and_tried_again(bus: Bus) -> None:
    async def act(attempt: int) -> None:
        if attempt == 1:
            await asyncio.Event().wait()

    handling = Handling(act)
    await bus.consume([subscription(handling, deadline=0.2, slots=1)])
    await bus.publish(uploaded())
    await eventually(lambda: handling.count(2), "the second attempt")


async def test_a_handler_that_is_cancelled_by_nobody_here_is_tried_again(bus: Bus) -> None:
    async def act(attempt: int) -> None:
        if attempt == 1:
            raise asyncio.CancelledError  # so libraries end what they give up

    handling = Handling(act)
    await bus.consume([subscription(handling, slots=1)])
    await bus.publish(uploaded())
    await eventually(lambda: handling.count(2), "the second attempt")
    await bus.publish(uploaded(2))
    await eventually(lambda: handling.count(3), "another event in the same slot")


async def test_giving_up_that_is_cancelled_by_nobody_here_puts_the_event_aside(bus: Bus) -> None:
    async def act(_: int) -> None:
        raise Transient("store is away")

    async def retries_exhausted(_: Event, __: Exception) -> None:
        raise asyncio.CancelledError

    await bus.consume([subscription(Handling(act), slots=1, retries_exhausted=retries_exhausted)])
    await bus.publish(uploaded())
    (letter,) = await eventually(lambda: bus.dead_letters(RESIZER_LIVE, 10), "a dead letter")
    assert letter.reason == "store is away"


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
    draining = asyncio.create_task(bus.drain(10))
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
