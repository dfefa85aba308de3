"""What both buses promise of events whose handlers fail: retries, dead letters and replays."""

import asyncio
import json

import pytest
from tests.support.bus import opened
from tests.support.eventually import eventually
from tests.support.handling import DELAYS, Handling, subscription, uploaded
from tests.support.rabbitmq import VirtualHost

from common.errors import BusFault, Permanent, StorageFault, StorageFull, Transient
from common.images.names import ImageKey
from common.messaging.bus import Bus, Retry, Subscription, dispatch
from common.messaging.events import ActivationRequested, Event, encode
from common.messaging.topology import PUBLISHER, RESIZER_LIVE, RETRY_DELAYS


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


@pytest.mark.parametrize("fault", [StorageFault, StorageFull, BusFault])
async def test_an_outage_longer_than_all_delays_uses_up_no_event(bus: Bus, fault: type[Exception]) -> None:
    outage = 4 * len(DELAYS)  # attempts

    async def act(attempt: int) -> None:
        if attempt <= outage:
            raise fault("away")

    async def retries_exhausted(_: Event, __: Exception) -> None:
        raise AssertionError

    handling = Handling(act)
    await bus.consume([subscription(handling, retries_exhausted=retries_exhausted)])
    event = uploaded()
    await bus.publish(event)
    await eventually(lambda: handling.count(outage + 1), "the attempt after the outage")
    await asyncio.sleep(0.2)
    assert handling.events == [event] * (outage + 1)
    assert await bus.dead_letters(RESIZER_LIVE, 10) == []


async def test_within_a_minute_after_an_outage_every_event_is_retried() -> None:
    async def act(_: int) -> None:
        raise StorageFault("away")

    handling, attempt, waits = Handling(act), 0, []
    for _ in range(2 * len(RETRY_DELAYS)):
        decision = await dispatch(encode(uploaded()), attempt, subscription(handling), RETRY_DELAYS)
        assert isinstance(decision, Retry)
        attempt = decision.attempt
        waits.append(decision.delay)
    assert max(waits) == 60


async def test_after_an_outage_an_event_has_attempts_of_its_own(bus: Bus) -> None:
    async def act(attempt: int) -> None:
        raise StorageFault("away") if attempt <= 5 else Transient("of its own")

    handling = Handling(act)
    await bus.consume([subscription(handling)])
    await bus.publish(uploaded())
    (letter,) = await eventually(lambda: bus.dead_letters(RESIZER_LIVE, 10), "a dead letter")
    assert letter.reason == "of its own"
    assert len(handling.events) >= 5 + 3


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


async def test_a_permanent_failure_is_dead_lettered_at_once(bus: Bus) -> None:
    async def act(_: int) -> None:
        raise Permanent("no such image")

    handling = Handling(act)
    await bus.consume([subscription(handling)])
    event = uploaded()
    await bus.publish(event)
    letters = await eventually(lambda: bus.dead_letters(RESIZER_LIVE, 10), "a dead letter")
    assert [(letter.body, letter.reason) for letter in letters] == [(encode(event).decode(), "no such image")]
    assert len(handling.events) == 1


async def test_when_the_attempts_are_used_up_it_is_said_and_dead_lettered(bus: Bus) -> None:
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


async def test_a_replay_ends_also_when_everything_is_dead_lettered_again(bus: Bus) -> None:
    async def act(_: int) -> None:
        raise Permanent("no such image")

    handling = Handling(act)
    await bus.consume([subscription(handling)])
    for number in (1, 1, 2):
        await bus.publish(uploaded(number))

    async def are_three() -> bool:
        return len(await bus.dead_letters(RESIZER_LIVE, 10)) == 3

    await eventually(are_three, "three dead letters")
    replayed = 0
    while replayed < 3:  # a broker gives letters that were just listed back in its own time
        replayed += await bus.replay(RESIZER_LIVE)
    assert replayed == 3
    await eventually(are_three, "three dead letters again")
    assert len(handling.events) == 6


async def test_an_event_nothing_handles_is_kept_for_newer_replicas_and_then_dead_lettered(bus: Bus) -> None:
    await bus.consume([Subscription(RESIZER_LIVE, {}, slots=1, deadline=5)])
    await bus.publish(uploaded())
    (letter,) = await eventually(lambda: bus.dead_letters(RESIZER_LIVE, 10), "a dead letter")
    assert "ImageUploaded" in letter.reason
    assert letter.attempts == 1 + len(DELAYS)


@pytest.mark.parametrize(
    ("change", "reason", "attempts"),
    [
        ({"type": "ImageTagged"}, "'ImageTagged'", 1 + len(DELAYS)),
        ({"dataschema": "urn:image-backend:ImageUploaded:2"}, "ImageUploaded:2", 1 + len(DELAYS)),
        ({"subject": "../passwd"}, "subject", 1),
    ],
)
async def test_an_event_of_a_newer_version_is_kept_and_what_is_none_is_not(
    vhost: VirtualHost, change: dict[str, str], reason: str, attempts: int
) -> None:
    handling = Handling()
    async with opened(vhost.url, DELAYS) as bus:
        await bus.consume([subscription(handling)])
        body = json.dumps(uploaded().model_dump(mode="json") | change)
        await vhost.put_message(RESIZER_LIVE.name, body)
        (letter,) = await eventually(lambda: bus.dead_letters(RESIZER_LIVE, 10), "a dead letter")
        assert reason in letter.reason
        assert (letter.body, letter.attempts) == (body, attempts)
        charset = uploaded().model_dump(mode="json") | {"datacontenttype": "application/json; charset=utf-8"}
        await vhost.put_message(RESIZER_LIVE.name, json.dumps(charset | {"newer": 1}))
        await eventually(lambda: handling.count(1), "the event that can be read")


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


async def test_giving_up_that_is_cancelled_by_nobody_here_dead_letters_the_event(bus: Bus) -> None:
    async def act(_: int) -> None:
        raise Transient("store is away")

    async def retries_exhausted(_: Event, __: Exception) -> None:
        raise asyncio.CancelledError

    await bus.consume([subscription(Handling(act), slots=1, retries_exhausted=retries_exhausted)])
    await bus.publish(uploaded())
    (letter,) = await eventually(lambda: bus.dead_letters(RESIZER_LIVE, 10), "a dead letter")
    assert letter.reason == "store is away"
