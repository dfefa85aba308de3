"""`dead-letters`, as an operator uses it on a real broker: what it lists, asks, replays and drops, and loses never."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.bus import opened
from tests.support.dead_letters import all_queues, broker_of, command, ids, listed, put_dead
from tests.support.deployment import Deployment
from tests.support.eventually import eventually
from tests.support.handling import Handling, subscription, uploaded
from tests.support.proxy import Proxy
from tests.support.servers import free_port
from tests.support.terminal import shown

from common.errors import Transient
from common.messaging.events import encode
from common.messaging.topology import DELIVERY_LIMIT, RESIZER_BULK, RESIZER_LIVE

DELAYS = (0.1, 0.11, 0.12, 0.13, 0.14)  # five retries, as in service


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    async with Deployment.prepared("rabbit-local", tmp_path) as prepared:
        yield prepared


async def test_what_failed_six_times_is_listed_with_its_reason_and_replayed_when_that_is_gone(
    deployment: Deployment,
) -> None:
    broken = True

    async def act(_: int) -> None:
        if broken:
            raise Transient("the store is away")

    handling = Handling(act)
    event = uploaded()
    async with opened(broker_of(deployment).url, DELAYS) as bus:
        await bus.consume([subscription(handling)])
        await bus.publish(event)

        async def dead() -> list[dict[str, Any]]:
            return await listed(deployment)

        (line,) = await eventually(dead, "a dead letter")
        first, last = (datetime.fromisoformat(line.pop(name)) for name in ("first_failure", "last_failure"))
        assert line == {
            "queue": "resizer.live",
            "id": event.id,
            "type": "ImageUploaded",
            "image": str(event.subject),
            "reason": "the store is away",
            "attempts": 6,
        }
        assert event.time - timedelta(seconds=1) <= first <= last <= datetime.now(UTC)
        ended = await command(deployment, "show")
        assert json.loads(ended.output)["event"] == event.model_dump(mode="json")
        assert "Dead letters: 1 shown, 1 in all" in ended.errors

        broken = False
        ended = await command(deployment, "replay", "--yes")
        assert (ended.status, json.loads(ended.output)["id"]) == (0, event.id)
        assert "Dead letters: 1 replayed, 0 left" in ended.errors
        await eventually(lambda: handling.count(7), "the seventh attempt")
        assert await listed(deployment) == []
        again = await command(deployment, "replay", "--yes")
        assert (again.status, again.output) == (0, "")
        await asyncio.sleep(0.2)
        assert handling.events == [event] * 7


async def test_what_the_broker_dead_letters_itself_is_told_as_such(deployment: Deployment) -> None:
    """A process that dies leaves no word; what an earlier attempt wrote is not the reason."""
    vhost = broker_of(deployment)
    await all_queues(deployment)
    body = encode(uploaded(1)).decode()
    await vhost.put_message(RESIZER_LIVE.name, body, {"x-reason": "the store was away", "x-attempt": 2})
    for _ in range(DELIVERY_LIMIT + 1):
        await eventually(lambda: vhost.messages(RESIZER_LIVE.name), "the message, which is returned each time")
    (line,) = await eventually(lambda: listed(deployment), "a dead letter")
    assert (line["reason"], line["attempts"]) == ("its consumers kept dying", 2 + DELIVERY_LIMIT + 1)
    assert line["last_failure"] is not None


FILTERS: list[tuple[list[str], set[str]]] = [
    (["--queue", "resizer.live"], {"1", "2", "3", "odd"}),
    (["--queue", "publisher"], set()),
    (["--id", "2"], {"2"}),
    (["--type", "ImageUploaded"], {"1", "2", "3", "4"}),
    (["--type", "ThumbnailsReady"], set()),
    (["--key", "1475660224_2.jpg"], {"2"}),
    (["--key", "1475660224_2.png"], set()),
    (["--older", "1d"], {"2"}),
    (["--older", "5d"], set()),
    (["--younger", "1d"], {"1", "4"}),
    (["--younger", "1d", "--queue", "resizer.bulk"], {"4"}),
]


async def test_filters(deployment: Deployment) -> None:
    vhost = broker_of(deployment)
    await all_queues(deployment)
    now = datetime.now(UTC)
    await put_dead(vhost, 1, **{"x-last-failure": now.isoformat()})
    await put_dead(vhost, 2, **{"x-last-failure": (now - timedelta(days=2)).isoformat()})
    await put_dead(vhost, 3)  # as earlier releases wrote them, without a time
    await put_dead(vhost, 4, queue=RESIZER_BULK.dead, **{"x-last-failure": now.isoformat()})
    await vhost.put_message(RESIZER_LIVE.dead, '{"id": "odd", "type": 7}')
    for arguments, expected in FILTERS:
        assert {line["id"] for line in await listed(deployment, *arguments)} == expected, arguments
    replayed = await command(deployment, "replay", "--yes", "--older", "1d")
    dropped = await command(deployment, "drop", "--yes", "--younger", "1d")
    assert (replayed.status, dropped.status) == (0, 0)
    assert {line["id"] for line in await listed(deployment)} == {"3", "odd"}
    assert await ids(vhost, RESIZER_LIVE.name) == ["2"]
    await vhost.put_message(RESIZER_LIVE.dead, "no JSON")
    assert sorted(str(line["type"]) for line in await listed(deployment)) == ["ImageUploaded", "None", "None"]


WRONG: list[tuple[list[str], str]] = [
    (["purge"], "invalid choice: 'purge'"),
    (["list", "--queue", "nowhere"], "invalid choice: 'nowhere'"),
    (["list", "--type", "Nothing"], "invalid choice: 'Nothing'"),
    (["list", "--older", "2"], "'2': expected days, hours or minutes, such as 90d, 12h or 30m"),
    (["list", "--limit", "0"], "'0': expected a whole number from 1 on"),
    (["list", "--key", "photo"], "photo"),
    (["--replay"], "unrecognized arguments: --replay"),
    (["replay"], "nobody can be asked whether to replay: expected --yes, or a terminal"),
    (["drop"], "nobody can be asked whether to drop: expected --yes, or a terminal"),
]


async def test_wrong_arguments_change_nothing(deployment: Deployment) -> None:
    await all_queues(deployment)
    await put_dead(broker_of(deployment), 1)
    for arguments, said in WRONG:
        ended = await command(deployment, *arguments)
        assert (ended.status, ended.output) == (2, ""), arguments
        assert said in ended.errors
    assert len(await listed(deployment)) == 1


@pytest.mark.parametrize(
    ("action", "typed", "status"),
    [
        ("replay", b"y\n", 0),
        ("drop", b"Yes\n", 0),
        ("replay", b"n\n", 1),
        ("drop", b"\n", 1),
        ("replay", b"\x04", 1),  # the end of the input
        ("drop", b"\x03", 2),  # interrupted
    ],
)
async def test_it_asks_before_it_changes_anything(
    deployment: Deployment, action: str, typed: bytes, status: int
) -> None:
    vhost = broker_of(deployment)
    await all_queues(deployment)
    await put_dead(vhost, 1, 2)
    await put_dead(vhost, 3, queue=RESIZER_BULK.dead)
    ended, text = await shown(
        "publisher",
        "dead-letters",
        action,
        environment=deployment.environment,
        folder=deployment.folder,
        typed=typed,
        when="[y/N]",
    )
    assert ended == status, text
    assert f"{action} 3 dead letters (2 of resizer.live, 1 of resizer.bulk)? [y/N]" in text
    left = await listed(deployment)
    assert len(left) == (0 if status == 0 else 3)
    assert await ids(vhost, RESIZER_LIVE.name) == (["1", "2"] if (status, action) == (0, "replay") else [])


async def test_what_comes_while_it_asks_is_not_changed(deployment: Deployment) -> None:
    vhost = broker_of(deployment)
    await all_queues(deployment)
    await put_dead(vhost, 1)

    async def one_more() -> None:
        await put_dead(vhost, 2)

    ended, text = await shown(
        "publisher",
        "dead-letters",
        "drop",
        environment=deployment.environment,
        folder=deployment.folder,
        typed=b"y\n",
        when="[y/N]",
        before=one_more,
    )
    assert ended == 0, text
    assert [line["image"] for line in await listed(deployment)] == ["1475660224_2.jpg"]


async def test_a_limit_bounds_a_drop_which_prints_what_it_removes(deployment: Deployment) -> None:
    vhost = broker_of(deployment)
    await all_queues(deployment)
    await put_dead(vhost, *range(1, 6))
    ended = await command(deployment, "drop", "--yes", "--limit", "2")
    dropped = [json.loads(line) for line in ended.output.splitlines()]
    assert len(dropped) == 2
    assert "Dead letters: 2 dropped, 3 left" in ended.errors
    for line in dropped:
        event = uploaded(int(line["id"]))
        assert line["event"]["subject"] == str(event.subject), "nothing is lost that cannot be sent again by hand"
    assert {line["id"] for line in await listed(deployment)} == {str(n) for n in range(1, 6)} - {
        line["id"] for line in dropped
    }


async def test_a_broker_that_is_away_is_said_in_a_line(deployment: Deployment) -> None:
    url = f"amqp://guest:hidden@127.0.0.1:{free_port()}/"
    ended = await command(deployment, "list", RABBITMQ_URL=url)
    assert (ended.status, ended.output) == (2, "")
    assert "publisher dead-letters: cannot use the broker at 127.0.0.1" in ended.errors
    assert "hidden" not in ended.errors
    assert "Traceback" not in ended.errors


async def test_the_publisher_counts_them_for_prometheus(deployment: Deployment) -> None:
    vhost = broker_of(deployment)
    await all_queues(deployment)
    await put_dead(vhost, 1, 2)
    await put_dead(vhost, 3, queue=RESIZER_BULK.dead)
    async with Proxy.to(*vhost.address) as proxy:
        await deployment.start("publisher", RABBITMQ_URL=vhost.url_through(proxy.port))

        async def counts() -> dict[str, float]:
            port = deployment.processes["publisher"].metrics_port
            async with deployment.http.get(f"http://127.0.0.1:{port}/metrics") as answer:
                lines = (await answer.text()).splitlines()
            found = [line for line in lines if line.startswith("image_backend_dead_letters{")]
            return {line.split('"')[1]: float(line.split()[-1]) for line in found}

        async def are(expected: dict[str, float]) -> bool:
            return await counts() == expected

        told = {"resizer.live": 2.0, "resizer.follow-up": 0.0, "resizer.bulk": 1.0, "publisher": 0.0}
        await eventually(lambda: are(told), "the numbers of dead letters")
        await proxy.cut()
        await eventually(lambda: are({}), "no number, as nobody knows any")
        await command(deployment, "drop", "--yes", "--queue", "resizer.bulk")
        await proxy.restore()
        await eventually(lambda: are(told | {"resizer.bulk": 0.0}), "the new numbers")
