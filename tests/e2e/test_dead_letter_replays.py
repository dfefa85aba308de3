"""`dead-letters replay` on a real broker that fails in the middle of it: nothing is lost, and it can go on."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.support.commands import begin
from tests.support.dead_letters import all_queues, broker_of, command, ids, listed, put_dead
from tests.support.deployment import Deployment
from tests.support.eventually import eventually
from tests.support.proxy import Proxy
from tests.support.rabbitmq import VirtualHost

from common.messaging.topology import QUEUES, RESIZER_BULK, RESIZER_LIVE


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    async with Deployment.prepared("rabbit-local", tmp_path) as prepared:
        yield prepared


@asynccontextmanager
async def replaying(deployment: Deployment, proxy: Proxy) -> AsyncIterator[asyncio.subprocess.Process]:
    """`replay` at work over the proxy; it is killed in the end."""
    url = broker_of(deployment).url_through(proxy.port)
    process = await begin(deployment, "publisher", "dead-letters", "replay", "--yes", RABBITMQ_URL=url)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def all_returned(vhost: VirtualHost, everything: list[str]) -> None:
    """Wait until no process holds any of the events."""

    async def are_there() -> bool:
        found = [*await ids(vhost, RESIZER_LIVE.dead), *await ids(vhost, RESIZER_LIVE.name)]
        return set(found) == set(everything)

    await eventually(are_there, "every event in one of the queues")


@pytest.mark.parametrize("moment", ["unconfirmed", "unacknowledged", 1, 2])
async def test_a_replay_that_is_killed_loses_nothing(deployment: Deployment, moment: str | int) -> None:
    vhost = broker_of(deployment)
    everything = [str(number) for number in range(1, 41)]
    await all_queues(deployment)
    await put_dead(vhost, *map(int, everything))
    async with Proxy.to(*vhost.address) as proxy, replaying(deployment, proxy) as process:
        assert process.stdout is not None
        for _ in range(random.Random(moment).randint(1, 20)):
            await process.stdout.readline()
        if moment == "unconfirmed":
            proxy.swallow(answers=True, requests=False)
        elif moment == "unacknowledged":
            proxy.swallow(answers=False, requests=True)
        if isinstance(moment, str):
            await asyncio.sleep(1)  # in which it sends one more, and waits
        process.kill()
        await process.wait()

    await all_returned(vhost, everything)
    ended = await command(deployment, "replay", "--yes")
    assert ended.status == 0, ended.errors
    assert await ids(vhost, RESIZER_LIVE.dead) == []
    found = await ids(vhost, RESIZER_LIVE.name)
    assert set(found) == set(everything)
    assert len(found) <= len(everything) + 2, "what was in hand came twice, and nothing else"
    for queue in QUEUES:
        assert queue is RESIZER_LIVE or await ids(vhost, queue.name) == []


async def test_a_stopped_replay_says_how_to_go_on(deployment: Deployment) -> None:
    vhost = broker_of(deployment)
    everything = [str(number) for number in range(1, 41)]
    await all_queues(deployment)
    await put_dead(vhost, *map(int, everything))
    async with Proxy.to(*vhost.address) as proxy, replaying(deployment, proxy) as process:
        proxy.slow(0.02)  # seconds for each piece of a call and of an answer, so that it is stopped before its end
        assert process.stdout is not None
        assert process.stderr is not None
        await process.stdout.readline()
        proxy.stall()
        process.terminate()
        await asyncio.sleep(0.5)
        proxy.flow()
        said = (await process.stderr.read()).decode()
        assert await process.wait() == 2
    assert "this goes on: python -m publisher dead-letters replay --yes" in said
    await all_returned(vhost, everything)
    await command(deployment, "replay", "--yes")
    assert set(await ids(vhost, RESIZER_LIVE.name)) == set(everything)


async def test_a_queue_that_is_full_takes_nothing_and_nothing_is_lost(deployment: Deployment) -> None:
    vhost = broker_of(deployment)
    await all_queues(deployment)
    await put_dead(vhost, 1, 2)
    await vhost.fill(RESIZER_LIVE.name)
    ended = await command(deployment, "replay", "--yes")
    assert (ended.status, ended.output) == (2, "")
    assert "the broker did not take a message for resizer.live" in ended.errors
    await vhost.empty(RESIZER_LIVE.name)
    await eventually(lambda: _are_dead(vhost, ["1", "2"]), "both events where they were")
    assert (await command(deployment, "replay", "--yes")).status == 0
    assert await ids(vhost, RESIZER_LIVE.name) == ["1", "2"]


async def _are_dead(vhost: VirtualHost, expected: list[str]) -> bool:
    return await ids(vhost, RESIZER_LIVE.dead) == expected


async def test_queues_that_are_missing_are_made(deployment: Deployment) -> None:
    vhost = broker_of(deployment)
    await all_queues(deployment)
    await put_dead(vhost, 1)
    await vhost.remove_queue(RESIZER_LIVE.name)
    await vhost.remove_queue(RESIZER_BULK.dead)
    ended = await command(deployment, "replay", "--yes")
    assert ended.status == 0, ended.errors
    assert await ids(vhost, RESIZER_LIVE.name) == ["1"]
    assert await listed(deployment) == []
