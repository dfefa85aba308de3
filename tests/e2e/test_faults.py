"""What the pipeline survives: events that come at the worst moment, or late, or never, and a broker that goes away."""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.deployment import Deployment, complete, keys
from tests.support.eventually import eventually
from tests.support.pictures import photo, png_header
from tests.support.proxy import Proxy

from common.images.names import ImageKey
from common.messaging.events import ActivationRequested
from common.messaging.rabbit import RabbitBus
from common.messaging.topology import PUBLISHER


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    """The four services' folders and broker; each test starts what it needs."""
    async with Deployment.prepared("rabbit-local", tmp_path) as prepared:
        yield prepared


async def command(service: str, *arguments: str, deployment: Deployment) -> tuple[int | None, str]:
    """Exit status and standard output of `python -m SERVICE ARGUMENTS`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        service,
        *arguments,
        env=deployment.environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    out, _ = await process.communicate()
    return process.returncode, out.decode()


async def test_activation_before_the_thumbnails(deployment: Deployment) -> None:
    await deployment.start("ingest", "publisher")
    name = await deployment.uploaded(photo(1600, 1200))
    assert (await deployment.publish(name))[0] == 200
    assert await keys(deployment.buckets.active) == {name}, "the original does not wait for its thumbnails"
    assert await keys(deployment.buckets.incoming) == set()
    await deployment.start("resizer")
    await eventually(lambda: complete(deployment, name), "thumbnails that follow their original")


@pytest.mark.parametrize("ahead", [60.0, 86400.0 * 365])
async def test_activation_while_the_clock_of_the_store_is_ahead(deployment: Deployment, ahead: float) -> None:
    """As in a folder of another machine: an original of the future is not waited for until it is old."""
    await deployment.start("ingest", "publisher")
    name = await deployment.uploaded(photo(320, 240))
    future = time.time() + ahead
    os.utime(deployment.folder / "incoming" / name, (future, future))
    async with asyncio.timeout(min(ahead, 120) / 2):  # where it waits 0.5 s and not `ahead`
        assert (await deployment.publish(name))[0] == 200
    assert await keys(deployment.buckets.active) == {name}


async def test_activation_between_the_thumbnails_and_their_record(deployment: Deployment) -> None:
    await deployment.start("ingest", "publisher")
    name = await deployment.uploaded(photo(1600, 1200))
    # As a resizer leaves it that dies at this moment.
    for suffix in ("BI", "MI"):
        await deployment.buckets.incoming.put(f"{name[:-4]}{suffix}.jpg", b"thumbnail")
    assert (await deployment.publish(name))[0] == 200
    assert await keys(deployment.buckets.incoming) == set()
    await deployment.start("resizer")
    await eventually(lambda: complete(deployment, name), "a complete image")
    assert await deployment.buckets.active.get(f"{name[:-4]}BI.jpg") != b"thumbnail"


async def test_the_record_of_a_failure_follows_an_original_that_was_activated_before(deployment: Deployment) -> None:
    await deployment.start("ingest", "publisher")
    name = await deployment.uploaded(png_header(500, 400))
    assert (await deployment.publish(name))[0] == 200
    await deployment.start("resizer")
    await deployment.wait_for(deployment.buckets.active, f"{name[:-4]}.json")
    assert json.loads(await deployment.buckets.active.get(f"{name[:-4]}.json"))["failed"]["class"] == "broken"
    assert await keys(deployment.buckets.incoming) == set()


async def test_activation_by_event(deployment: Deployment) -> None:
    await deployment.start()
    assert deployment.vhost is not None
    bus = RabbitBus(deployment.vhost.url, "test")
    bus.start()
    name = await deployment.uploaded(photo(1600, 1200))
    failed = await deployment.uploaded(png_header(500, 400))
    for upload in (name, failed):
        await deployment.wait_for(deployment.buckets.incoming, f"{upload[:-4]}.json")
    for subject in (name, failed, "1475660224_0882910455.jpg"):
        await bus.publish(ActivationRequested(source="/site", subject=ImageKey.parse(subject)))
    await eventually(lambda: complete(deployment, name), "a public image")

    async def put_aside() -> bool:
        return len(await bus.dead_letters(PUBLISHER, 10)) == 2

    await eventually(put_aside, "two dead letters")
    reasons = sorted(letter.reason for letter in await bus.dead_letters(PUBLISHER, 10))
    assert "1475660224_0882910455.jpg is not known" in reasons[0]
    assert f"{failed} cannot be shown" in reasons[1]
    await bus.close()
    status, said = await command("publisher", "dead-letters", deployment=deployment)
    assert status == 0
    assert sorted(json.loads(line)["reason"] for line in said.splitlines()) == reasons
    status, said = await command("publisher", "dead-letters", "replay", "--yes", deployment=deployment)
    assert (status, len(said.splitlines())) == (0, 2)


async def test_an_image_is_refused_once_its_time_is_over(deployment: Deployment) -> None:
    await deployment.start(INCOMING_TTL="0.5", ACTIVATION_WAIT="0", RECONCILE_AFTER="0.5")
    name = await deployment.uploaded(photo(300, 200))
    await asyncio.sleep(0.7)
    status, body = await deployment.publish(name)
    assert status == 410
    assert "0.5 s" in body["error"]
    assert name in await keys(deployment.buckets.incoming)


async def test_a_deleted_image_does_not_come_back(deployment: Deployment) -> None:
    await deployment.start()
    name = await deployment.uploaded(photo(300, 200))
    await deployment.wait_for(deployment.buckets.incoming, f"{name[:-4]}.json")
    await deployment.buckets.incoming.put(f"tombstones/{name[:-4]}", b"")
    status, body = await deployment.publish(name)
    assert status == 404
    assert "deleted" in body["error"]
    assert await keys(deployment.buckets.active) == set()
    assert await keys(deployment.buckets.incoming) == set()


async def test_an_upload_while_the_broker_is_down(deployment: Deployment) -> None:
    assert deployment.vhost is not None
    async with Proxy.to(*deployment.vhost.address) as proxy:
        await deployment.start("resizer", "publisher")
        await deployment.start("ingest", RABBITMQ_URL=deployment.vhost.url_through(proxy.port))
        await proxy.cut()
        name = await deployment.uploaded(photo(1600, 1200))
        async with deployment.http.get(f"{deployment.url('ingest')}/readyz") as answer:
            assert answer.status == 200, "an upload needs no broker"
            assert "broker" in (await answer.json())["broker"]
        await proxy.restore()
        await deployment.wait_for(deployment.buckets.incoming, f"{name[:-4]}.json")


async def test_an_upload_while_the_broker_takes_nothing(deployment: Deployment) -> None:
    assert deployment.vhost is not None
    async with Proxy.to(*deployment.vhost.address) as proxy:
        await deployment.start("resizer", "publisher")
        await deployment.start("ingest", RABBITMQ_URL=deployment.vhost.url_through(proxy.port))
        data = photo(1600, 1200)
        proxy.stall()
        async with asyncio.timeout(10):  # which the broker would have to confirm the event
            name = await deployment.uploaded(data)
        proxy.flow()
        await deployment.wait_for(deployment.buckets.incoming, f"{name[:-4]}.json")


async def test_an_upload_while_the_broker_is_down_and_ingest_is_killed_then(deployment: Deployment) -> None:
    assert deployment.vhost is not None
    async with Proxy.to(*deployment.vhost.address) as proxy:
        await deployment.start("resizer")
        await deployment.start("publisher", RECONCILE_AFTER="1", RECONCILE_INTERVAL="0.3")
        await deployment.start("ingest", RABBITMQ_URL=deployment.vhost.url_through(proxy.port))
        await proxy.cut()
        name = await deployment.uploaded(photo(1600, 1200))
        await deployment.processes["ingest"].kill()
        await deployment.wait_for(deployment.buckets.incoming, f"{name[:-4]}.json")


async def test_a_move_that_was_interrupted_is_finished(deployment: Deployment) -> None:
    await deployment.start("publisher", RECONCILE_AFTER="0.5", RECONCILE_INTERVAL="0.2")
    incoming, active = deployment.buckets.incoming, deployment.buckets.active
    stem = "1475660224_0882910455"
    for key in (f"{stem}.jpg", f"{stem}MI.jpg"):
        await incoming.put(key, b"both")
        await active.put(key, b"both")
    await incoming.put(f"{stem}BI.jpg", b"left")
    orphan = "1475660225_0882910455"
    await incoming.put(f"{orphan}BI.jpg", b"its original is gone")

    async def empty() -> bool:
        return await keys(incoming) == set()

    await eventually(empty, "an empty incoming bucket")
    assert await keys(active) == {f"{stem}.jpg", f"{stem}MI.jpg", f"{stem}BI.jpg"}
