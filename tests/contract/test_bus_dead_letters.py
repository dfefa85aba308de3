"""What both buses promise of dead letters: what they tell, and that they are replayed and dropped as it is asked."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from tests.support.eventually import eventually
from tests.support.handling import DELAYS, Handling, subscription, uploaded

from common.errors import Permanent, Postponed, Transient
from common.images.names import ImageKey
from common.messaging.bus import Bus, Subscription
from common.messaging.dead_letters import DeadMessage
from common.messaging.events import ActivationRequested, Event
from common.messaging.topology import PUBLISHER, RESIZER_BULK, RESIZER_LIVE


async def dead(bus: Bus, number: int) -> list[DeadMessage]:
    """So many dead letters."""

    async def there() -> bool:
        return await bus.dead_letter_count(RESIZER_LIVE) == number

    await eventually(there, f"{number} dead letters")
    return await bus.dead_letters(RESIZER_LIVE)


def order(letters: list[DeadMessage]) -> list[str | None]:
    return [letter.image for letter in letters]


class Broken(Handling):
    """A handler that fails for as long as it is broken."""

    def __init__(self, error: Exception) -> None:
        super().__init__(self._fail)
        self.error: Exception | None = error

    async def _fail(self, _: int) -> None:
        if self.error is not None:
            raise self.error


async def test_a_dead_letter_tells_what_when_how_often_and_why(bus: Bus) -> None:
    began = datetime.now(UTC)
    await bus.consume([subscription(Broken(Transient("store is away")))])
    event = uploaded()
    await bus.publish(event)
    (letter,) = await dead(bus, 1)
    assert (letter.queue, letter.id, letter.type) == ("resizer.live", event.id, "ImageUploaded")
    assert (letter.image, letter.reason) == (str(event.subject), "store is away")
    assert letter.attempts == 1 + len(DELAYS)
    assert letter.event == event.model_dump(mode="json")
    assert letter.first_failure is not None
    assert letter.last_failure is not None
    second = timedelta(seconds=1)  # times are told in whole seconds
    assert began - second <= letter.first_failure <= letter.last_failure <= datetime.now(UTC) + second


async def test_what_was_postponed_has_not_failed(bus: Bus) -> None:
    async def act(call: int) -> None:
        raise Postponed("a large image is being rendered") if call < 4 else Permanent("no such image")

    await bus.consume([subscription(Handling(act))])
    await bus.publish(uploaded())
    (letter,) = await dead(bus, 1)
    assert (letter.attempts, letter.reason) == (1, "no such image")
    assert letter.first_failure is not None
    assert letter.first_failure == letter.last_failure


async def test_looking_changes_nothing(bus: Bus) -> None:
    await bus.consume([subscription(Broken(Permanent("no such image")), slots=1)])
    for number in range(1, 61):
        await bus.publish(uploaded(number))
    first = await dead(bus, 60)
    for _ in range(6):
        assert await bus.dead_letters(RESIZER_LIVE) == first
        assert await bus.dead_letter_count(RESIZER_LIVE) == 60, "all of them are back at once"
    assert len(await bus.dead_letters(RESIZER_LIVE, 5)) == 5
    assert await bus.dead_letters(RESIZER_LIVE) == first
    assert len(set(order(first))) == 60


@pytest.mark.parametrize("change", ["replay", "drop"])
async def test_only_what_is_wanted_is_changed_and_no_more_than_the_limit(bus: Bus, change: str) -> None:
    handling = Broken(Permanent("no such image"))
    await bus.consume([subscription(handling, slots=1)])
    for number in range(1, 9):
        await bus.publish(uploaded(number))
    letters = await dead(bus, 8)
    handling.error = None
    told: list[DeadMessage] = []
    even = letters[1::2]
    count = await getattr(bus, change)(RESIZER_LIVE, 3, lambda letter: letter in even, told.append)
    assert (count, len(told)) == (3, 3)
    assert all(letter in even for letter in told)
    assert await dead(bus, 5) == [letter for letter in letters if letter not in told]
    replayed = 3 if change == "replay" else 0
    await eventually(lambda: handling.count(8 + replayed), "what was replayed")
    await asyncio.sleep(0.2)
    assert len(handling.events) == 8 + replayed
    assert await getattr(bus, change)(RESIZER_LIVE, 3, lambda _: False) == 0


async def test_what_a_replay_led_to_is_left_to_the_next(bus: Bus) -> None:
    handling = Broken(Permanent("no such image"))
    await bus.consume([subscription(handling)])
    for number in (1, 2, 3):
        await bus.publish(uploaded(number))
    await dead(bus, 3)
    assert await bus.replay(RESIZER_LIVE) == 3
    await eventually(lambda: handling.count(6), "all three once more")
    await dead(bus, 3)
    await asyncio.sleep(0.2)
    assert len(handling.events) == 6


async def test_a_replay_reaches_the_queue_that_failed_alone(bus: Bus) -> None:
    failing, others, heard = Broken(Permanent("refused")), Handling(), list[Event]()
    activation = ActivationRequested(source="/test", subject=ImageKey.parse("1475660224_1.jpg"))
    await bus.consume(
        [
            Subscription(PUBLISHER, {ActivationRequested: failing}, slots=1, deadline=5),
            subscription(others),
            Subscription(RESIZER_BULK, {}, slots=1, deadline=5),
        ],
        heard.append,
    )

    async def listens() -> bool:
        return bus.trouble() is None

    await eventually(listens, "the listener's connection")
    await bus.publish(activation)

    async def is_dead() -> bool:
        return await bus.dead_letter_count(PUBLISHER) == 1

    await eventually(is_dead, "a dead letter")
    failing.error = None
    assert await bus.replay(RESIZER_LIVE) == 0
    assert await bus.replay(PUBLISHER) == 1
    await eventually(lambda: failing.count(2), "the replayed event")
    await asyncio.sleep(0.2)
    assert (heard, others.events, await bus.dead_letters(RESIZER_BULK)) == ([activation], [], [])
    assert await bus.dead_letters(PUBLISHER) == []
