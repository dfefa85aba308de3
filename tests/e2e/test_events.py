"""`GET /events` beyond what a single client sees: from any replica, and when a service stops."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.deployment import Deployment
from tests.support.eventually import eventually
from tests.support.pictures import photo


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    async with Deployment.prepared("rabbit-local", tmp_path) as prepared:
        await prepared.start()
        yield prepared


async def states(deployment: Deployment, url: str, name: str, seen: list[str]) -> None:
    async with deployment.http.get(f"{url}/events/{name}") as answer:
        assert answer.status == 200
        async for line in answer.content:
            if line.startswith(b"data: "):
                seen.append(json.loads(line[6:])["state"])  # noqa: PERF401 - looked at as it grows


async def test_any_replica_tells(deployment: Deployment) -> None:
    other = await deployment.launch("ingest", alias="ingest-2")
    await deployment.wait_ready(other)
    name = await deployment.uploaded(photo())
    seen: list[str] = []
    following = asyncio.create_task(states(deployment, other.url, name, seen))

    async def ready() -> bool:
        return seen[-1:] == ["ready"]

    await eventually(ready, "readiness, by the other replica")
    assert (await deployment.publish(name))[0] == 200
    await asyncio.wait_for(following, 90)
    assert seen[-1] == "active"


async def test_a_service_that_stops_does_not_wait_for_its_listeners(deployment: Deployment) -> None:
    name = await deployment.uploaded(photo(300, 200))
    await deployment.wait_for(deployment.buckets.incoming, f"{name[:-4]}.json")
    seen: list[str] = []
    ingest = deployment.processes["ingest"]
    following = [asyncio.create_task(states(deployment, ingest.url, name, seen)) for _ in range(5)]

    async def all_follow() -> bool:
        return len(seen) == 5

    await eventually(all_follow, "five streams")
    start = time.monotonic()
    assert await ingest.terminate() == 0
    assert time.monotonic() - start < 15, "well before SHUTDOWN_TIMEOUT, which is 25 s"
    await asyncio.gather(*following, return_exceptions=True)
