"""`dead-letters` of the embedded default: they are in *incoming*, and outlive the process that serves."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.commands import begin, run
from tests.support.deployment import Deployment, keys
from tests.support.eventually import eventually
from tests.support.handling import DELAYS, Handling, subscription, uploaded

from common.errors import Permanent, StorageFault, Transient
from common.messaging.dead_letters import DeadMessage
from common.messaging.embedded import EmbeddedBus
from common.messaging.events import encode
from common.messaging.kept_letters import KeptLetters, MemoryStore
from common.messaging.topology import RESIZER_LIVE
from common.storage.base import Storage
from common.storage.local import LocalStorage
from standalone.dead_letters import stored_letters


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    async with Deployment.prepared("embedded", tmp_path) as prepared:
        yield prepared


@asynccontextmanager
async def serving(incoming: Storage, handler: Handling) -> AsyncIterator[EmbeddedBus]:
    """The bus of a process that serves, with its background task."""
    bus = EmbeddedBus(DELAYS, stored_letters(incoming))
    await bus.consume([subscription(handler)])
    replaying = asyncio.create_task(bus.run())
    try:
        yield bus
    finally:
        replaying.cancel()
        await bus.drain(0.1)


async def listed(deployment: Deployment) -> list[dict[str, Any]]:
    ended = await run(deployment, "standalone", "dead-letters")
    assert ended.status == 0, ended.errors
    return [json.loads(line) for line in ended.output.splitlines()]


async def objects(incoming: Storage) -> list[str]:
    """The keys of all dead letters and replays."""
    found = [entry.key async for entry in incoming.entries("dead-letters/")]
    return found + [entry.key async for entry in incoming.entries("replays/")]


async def fail(_: int) -> None:
    raise Transient("the store is away")


async def refuse(_: int) -> None:
    raise Permanent("refused")


async def test_dead_letters_are_listed_and_replayed_by_a_process_that_starts_later(deployment: Deployment) -> None:
    incoming = deployment.buckets.incoming
    event = uploaded()
    failing = Handling(fail)
    async with serving(incoming, failing) as bus:
        await bus.publish(event)
        (line,) = await eventually(lambda: listed(deployment), "a dead letter")
    assert (line["id"], line["reason"], line["attempts"]) == (event.id, "the store is away", 1 + len(DELAYS))
    assert line["first_failure"] <= line["last_failure"]
    assert await keys(incoming) == set(), "it is no object of an image"

    ended = await run(deployment, "standalone", "dead-letters", "replay", "--yes")
    assert (ended.status, json.loads(ended.output)["id"]) == (0, event.id)
    assert "Dead letters: 1 replayed, 0 left" in ended.errors
    assert await listed(deployment) == []
    assert len(await objects(incoming)) == 1, "it waits for a process that serves"
    handling = Handling()
    async with serving(incoming, handling):
        await eventually(lambda: handling.count(1), "the replayed event")
        await eventually(lambda: _is_empty(incoming), "that nothing is left of it")
    assert handling.events == [event]


async def _is_empty(incoming: Storage) -> bool:
    return not await objects(incoming)


async def test_what_fails_once_more_is_one_dead_letter_again(deployment: Deployment) -> None:
    incoming = deployment.buckets.incoming
    failing = Handling(fail)
    async with serving(incoming, failing) as bus:
        await bus.publish(uploaded())
        (before,) = await eventually(lambda: listed(deployment), "a dead letter")
        await run(deployment, "standalone", "dead-letters", "replay", "--yes")
        await bus.take_replays()
        (after,) = await eventually(lambda: listed(deployment), "the dead letter once more")
        assert before["id"] == after["id"]
        assert before["last_failure"] <= after["last_failure"]
        await eventually(lambda: _are(incoming, 1), "one object")


async def _are(incoming: Storage, number: int) -> bool:
    return len(await objects(incoming)) == number


async def test_a_process_that_dies_while_it_handles_a_replay_loses_nothing(deployment: Deployment) -> None:
    incoming = deployment.buckets.incoming

    async def hang(_: int) -> None:
        await asyncio.Event().wait()

    async with serving(incoming, Handling(refuse)) as bus:
        for number in range(5):
            await bus.publish(uploaded(number))
        await eventually(lambda: _are(incoming, 5), "five dead letters")
    assert (await run(deployment, "standalone", "dead-letters", "replay", "--yes")).status == 0
    hanging = Handling(hang)
    async with serving(incoming, hanging):
        await eventually(lambda: hanging.count(1), "an event in hand")
    handling = Handling()
    async with serving(incoming, handling):
        await eventually(lambda: handling.count(5), "all five")
        await eventually(lambda: _is_empty(incoming), "that nothing is left of them")


@pytest.mark.parametrize("lines", [0, 3, 11])
async def test_a_replay_that_is_killed_loses_nothing(deployment: Deployment, lines: int) -> None:
    incoming = deployment.buckets.incoming

    async with serving(incoming, Handling(refuse)) as bus:
        for number in range(40):
            await bus.publish(uploaded(number))
        await eventually(lambda: _are(incoming, 40), "forty dead letters")
    process = await begin(deployment, "standalone", "dead-letters", "replay", "--yes")
    assert process.stdout is not None
    for _ in range(lines):
        await process.stdout.readline()
    process.kill()
    await process.communicate()
    assert (await run(deployment, "standalone", "dead-letters", "replay", "--yes")).status == 0
    handling = Handling()
    async with serving(incoming, handling):
        await eventually(lambda: _is_empty(incoming), "that all is handled")
    assert {event.subject.name for event in handling.events} == {f"1475660224_{number}" for number in range(40)}


async def test_a_drop_removes_what_it_prints(deployment: Deployment) -> None:
    incoming = deployment.buckets.incoming
    async with serving(incoming, Handling(fail)) as bus:
        for number in (1, 2):
            await bus.publish(uploaded(number))
        await eventually(lambda: _are(incoming, 2), "two dead letters")
    ended = await run(deployment, "standalone", "dead-letters", "drop", "--yes", "--key", "1475660224_1.jpg")
    assert json.loads(ended.output)["event"]["subject"] == "1475660224_1.jpg"
    assert [line["image"] for line in await listed(deployment)] == ["1475660224_2.jpg"]


async def test_a_dead_letter_is_stored_as_soon_as_the_store_lets_it(tmp_path: Path) -> None:
    class Full(LocalStorage):
        is_full = True

        async def put(self, key: str, data: bytes, *, exclusive: bool = False) -> None:
            if self.is_full:
                raise StorageFault("there is no room left")
            await super().put(key, data, exclusive=exclusive)

    incoming = Full.open(tmp_path)
    failing = Handling(fail)
    async with serving(incoming, failing) as bus:
        await bus.publish(uploaded())
        await eventually(lambda: failing.count(1 + len(DELAYS)), "all attempts")
        await asyncio.sleep(0.2)
        incoming.is_full = False
        await eventually(lambda: _are(incoming, 1), "the dead letter")


class Faulty(MemoryStore):
    """A store that takes nothing, or gives nothing up, for as long as it is faulty."""

    faulty = True

    async def put(self, letter: DeadMessage) -> None:
        if self.faulty:
            raise StorageFault("there is no room left")
        await super().put(letter)

    async def remove(self, letter: DeadMessage) -> None:
        if self.faulty:
            raise StorageFault("it is away")
        await super().remove(letter)


async def test_a_replay_that_cannot_be_stored_stays_a_dead_letter() -> None:
    letters = KeptLetters(MemoryStore(), Faulty())
    await letters.dead.put(DeadMessage("resizer.live", None, encode(uploaded()).decode(), "away", 6))
    with pytest.raises(StorageFault):
        await letters.replay(RESIZER_LIVE)
    assert await letters.dead_letter_count(RESIZER_LIVE) == 1


async def test_a_replay_that_fails_once_more_stays_until_it_is_stored_as_a_dead_letter() -> None:
    dead, replays = Faulty(), MemoryStore()
    await replays.put(DeadMessage("resizer.live", None, encode(uploaded()).decode(), "away", 6))
    failing = Handling(fail)
    bus = EmbeddedBus(DELAYS, KeptLetters(dead, replays))
    await bus.consume([subscription(failing)])
    await bus.take_replays()
    await eventually(lambda: failing.count(1 + len(DELAYS)), "all attempts")
    await asyncio.sleep(0.2)
    await bus.drain(0.1)
    assert await replays.count("resizer.live") == 1


async def test_what_is_no_dead_letter_hides_none(deployment: Deployment) -> None:
    incoming = deployment.buckets.incoming
    async with serving(incoming, Handling(fail)) as bus:
        await bus.publish(uploaded())
        await eventually(lambda: _are(incoming, 1), "a dead letter")
    for name, content in (("odd", b"{}"), ("text", b"no JSON"), ("list", b"[]"), ("empty", b"")):
        await incoming.put(f"dead-letters/resizer.live.{name}", content)
    assert [line["image"] for line in await listed(deployment)] == ["1475660224_1.jpg"]


async def test_where_nothing_was_ever_stored_it_says_so_and_makes_no_folder(deployment: Deployment) -> None:
    place = deployment.folder / "nowhere"
    ended = await run(deployment, "standalone", "dead-letters", INCOMING_FOLDER=str(place))
    assert (ended.status, ended.output) == (2, "")
    assert f"INCOMING_FOLDER {place}: there is no such folder" in ended.errors
    assert not place.exists()


async def test_the_running_process_counts_them_and_takes_what_is_replayed(deployment: Deployment) -> None:
    incoming = deployment.buckets.incoming
    async with serving(incoming, Handling(fail)) as bus:
        await bus.publish(uploaded())
        await eventually(lambda: _are(incoming, 1), "a dead letter")
    await deployment.start()
    port = deployment.processes["standalone"].metrics_port

    async def counted() -> bool:
        async with deployment.http.get(f"http://127.0.0.1:{port}/metrics") as answer:
            return 'image_backend_dead_letters{queue="resizer.live"} 1.0' in await answer.text()

    await eventually(counted, "the number of dead letters")
    assert (await run(deployment, "standalone", "dead-letters", "replay", "--yes")).status == 0
    await eventually(lambda: _is_empty(incoming), "that the event is handled")
