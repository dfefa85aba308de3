"""What the pipeline survives: services and a broker that go away at the worst moment."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.deployment import Deployment, keys
from tests.support.eventually import eventually
from tests.support.pictures import photo, png_header
from tests.support.proxy import Proxy

from common.events import ActivationRequested
from common.images.names import ImageKey
from common.rabbit import RabbitBus
from common.topology import PUBLISHER


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    """The four services' folders and broker; each test starts what it needs."""
    async with Deployment.prepared("rabbit-local", tmp_path) as prepared:
        yield prepared


async def complete(deployment: Deployment, name: str) -> bool:
    """Whether all of the image is public, and nothing of it is left in *incoming*."""
    stem = name[:-4]
    wanted = {name, f"{stem}.json", *(f"{stem}{suffix}{name[-4:]}" for suffix in ("BI", "MI", "SI"))}
    in_active = {key for key in await keys(deployment.buckets.active) if key.startswith(stem)}
    in_incoming = {key for key in await keys(deployment.buckets.incoming) if key.startswith(stem)}
    return in_active == wanted and not in_incoming


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
    status, said = await command("publisher", "dead-letters", "--replay", deployment=deployment)
    assert (status, json.loads(said)) == (0, {"queue": "publisher", "replayed": 2})


async def test_an_image_is_refused_once_its_time_is_over(deployment: Deployment) -> None:
    await deployment.start(INCOMING_TTL="0.5", ACTIVATION_WAIT="0")
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
        proxy.stall()
        async with asyncio.timeout(10):
            name = await deployment.uploaded(photo(1600, 1200))
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


async def test_a_resizer_that_is_killed_costs_nothing(deployment: Deployment) -> None:
    await deployment.start("ingest", "publisher")
    names = [await deployment.uploaded(photo()) for _ in range(8)]
    for alias in ("resizer-1", "resizer-2"):
        await deployment.wait_ready(await deployment.launch("resizer", alias=alias))

    async def half_way() -> bool:
        return len([key for key in await keys(deployment.buckets.incoming) if key.endswith(".json")]) >= 2

    await eventually(half_way, "two records")
    await deployment.processes["resizer-1"].kill()
    for name in names:
        await deployment.wait_for(deployment.buckets.incoming, f"{name[:-4]}.json")
    for answer in await asyncio.gather(*(deployment.publish(name) for name in names)):
        assert answer[0] == 200
    for name in names:
        await eventually(lambda name=name: complete(deployment, name), name)  # type: ignore[misc]


async def test_two_resizers_share_the_queue(deployment: Deployment) -> None:
    await deployment.start("ingest", "publisher")
    names = [await deployment.uploaded(photo(3000, 2000)) for _ in range(10)]
    for alias in ("resizer-1", "resizer-2"):
        await deployment.launch("resizer", alias=alias, RESIZER_WORKERS="1")
    for name in names:
        await deployment.wait_for(deployment.buckets.incoming, f"{name[:-4]}.json")
    made = [
        [str(line["image"]) for line in deployment.processes[alias].lines() if line["event"] == "thumbnails made"]
        for alias in ("resizer-1", "resizer-2")
    ]
    assert all(made), "both had some"
    assert sorted(made[0] + made[1]) == sorted(names), "each was made once"


async def test_sigterm_finishes_what_is_in_hand(deployment: Deployment) -> None:
    await deployment.start("ingest", "publisher")
    names = [await deployment.uploaded(photo()) for _ in range(6)]
    resizer = await deployment.launch("resizer", RESIZER_WORKERS="2")

    async def first() -> bool:
        return any(key.endswith(".json") for key in await keys(deployment.buckets.incoming))

    await eventually(first, "a record")
    assert await resizer.terminate() == 0
    found = await keys(deployment.buckets.incoming)
    for name in names:
        pieces = {key for key in found if key.startswith(name[:-4])}
        assert len(pieces) in (1, 5), f"nothing half done: {pieces}"
    assert not any("tried again" in str(line["event"]) for line in resizer.lines())
    await deployment.start("resizer")
    for name in names:
        await deployment.wait_for(deployment.buckets.incoming, f"{name[:-4]}.json")


async def test_sigterm_finishes_an_upload_that_is_half_sent(tmp_path: Path) -> None:
    async with Deployment.prepared("embedded", tmp_path) as deployment:
        await deployment.start()
        data = photo(3000, 2000)

        async def slowly() -> AsyncIterator[bytes]:
            yield b'--limit\r\nContent-Disposition: form-data; name="file"; filename="x.jpg"\r\n\r\n'
            for start in range(0, len(data), len(data) // 10):
                yield data[start : start + len(data) // 10]
                await asyncio.sleep(0.3)
            yield b"\r\n--limit--\r\n"

        async def upload() -> str:
            headers = {"Content-Type": "multipart/form-data; boundary=limit"}
            url = f"{deployment.url('ingest')}/upload"
            async with deployment.http.post(url, data=slowly(), headers=headers) as answer:
                assert answer.status == 200
                filename: str = (await answer.json())["filename"]
                return filename

        sending = asyncio.create_task(upload())
        await asyncio.sleep(0.8)
        process = deployment.processes["standalone"]
        ending = asyncio.create_task(process.terminate())

        async def not_ready() -> bool:
            async with deployment.http.get(f"{process.url}/readyz") as answer:
                return answer.status == 503 and (await answer.json())["stopping"] is True

        await eventually(not_ready, "a service that says that it is stopping")
        name = await sending
        assert await ending == 0
        assert await deployment.buckets.incoming.get(name) == data
        assert list((tmp_path / "temp").iterdir()) == []


async def test_a_service_waits_for_a_broker_that_is_not_up_yet(deployment: Deployment) -> None:
    assert deployment.vhost is not None
    await deployment.start("ingest", "publisher")
    name = await deployment.uploaded(photo(300, 200))
    async with Proxy.to(*deployment.vhost.address) as proxy:
        await proxy.cut()
        resizer = await deployment.launch("resizer", RABBITMQ_URL=deployment.vhost.url_through(proxy.port))

        async def says_why() -> bool:
            try:
                async with deployment.http.get(f"{resizer.url}/readyz") as answer:
                    return answer.status == 503 and "broker" in (await answer.json())["broker"]
            except OSError:
                return False

        await eventually(says_why, "a resizer that is not ready, and says why")
        await proxy.restore()
        await deployment.wait_ready(resizer)
        await deployment.wait_for(deployment.buckets.incoming, f"{name[:-4]}.json")


async def test_the_embedded_default_settles_on_start_what_a_crash_left(tmp_path: Path) -> None:
    async with Deployment.prepared("embedded", tmp_path) as deployment:
        await deployment.start()
        names = [await deployment.uploaded(photo()) for _ in range(4)]
        assert (await deployment.publish(names[0]))[0] == 200
        await deployment.processes["standalone"].kill()
        # An activation that died between copy and delete, and one whose thumbnails were on their way.
        await deployment.buckets.active.copy_from(deployment.buckets.incoming, names[1])
        await deployment.start()
        await eventually(lambda: complete(deployment, names[0]), names[0])
        await eventually(lambda: complete(deployment, names[1]), names[1])
        for name in names[2:]:
            await deployment.wait_for(deployment.buckets.incoming, f"{name[:-4]}.json")


async def test_one_image_that_cannot_be_settled_does_not_stop_the_others(deployment: Deployment) -> None:
    await deployment.start("ingest")
    names = [await deployment.uploaded(photo(300, 200)) for _ in range(4)]
    assert deployment.vhost is not None
    await deployment.vhost.purge("resizer.live")  # the events are lost
    await deployment.buckets.incoming.put(f"{min(names)[:-4]}.json", b"spoilt")
    await deployment.start("resizer")
    await deployment.start("publisher", RECONCILE_AFTER="0.5", RECONCILE_INTERVAL="0.3")
    for name in names:
        await eventually(lambda name=name: readable(deployment, name), name)  # type: ignore[misc]


async def readable(deployment: Deployment, name: str) -> bool:
    """Whether the image has a record that says what was made."""
    key = f"{name[:-4]}.json"
    if await deployment.buckets.incoming.stat(key) is None:
        return False
    found = await deployment.buckets.incoming.get(key)
    return found != b"spoilt" and len(json.loads(found)["variants"]) == 3
