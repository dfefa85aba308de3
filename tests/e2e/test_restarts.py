"""What services survive that are killed, stopped or started before what they need, and what follows of it."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.deployment import Deployment, complete, keys
from tests.support.eventually import eventually
from tests.support.folders import bytes_in
from tests.support.pictures import photo
from tests.support.proxy import Proxy


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    """The four services' folders and broker; each test starts what it needs."""
    async with Deployment.prepared("rabbit-local", tmp_path) as prepared:
        yield prepared


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
    for alias in ("resizer-1", "resizer-2"):
        await deployment.wait_ready(await deployment.launch("resizer", alias=alias, RESIZER_WORKERS="1"))
    names = [await deployment.uploaded(photo(3000, 2000)) for _ in range(10)]
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
    assert not any("retried" in str(line["event"]) for line in resizer.lines())
    await deployment.start("resizer")
    for name in names:
        await deployment.wait_for(deployment.buckets.incoming, f"{name[:-4]}.json")


async def test_sigterm_finishes_an_upload_that_is_half_sent(tmp_path: Path) -> None:
    async with Deployment.prepared("embedded", tmp_path) as deployment:
        await deployment.start()
        data = photo(3000, 2000)
        is_stopping = asyncio.Event()

        async def in_halves() -> AsyncIterator[bytes]:
            yield b'--limit\r\nContent-Disposition: form-data; name="file"; filename="x.jpg"\r\n\r\n'
            yield data[: len(data) // 2]
            await is_stopping.wait()
            yield data[len(data) // 2 :] + b"\r\n--limit--\r\n"

        async def upload() -> str:
            headers = {"Content-Type": "multipart/form-data; boundary=limit"}
            url = f"{deployment.url('ingest')}/upload"
            async with deployment.http.post(url, data=in_halves(), headers=headers) as answer:
                assert answer.status == 200
                filename: str = (await answer.json())["filename"]
                return filename

        sending = asyncio.create_task(upload())

        async def half_sent() -> bool:
            return bytes_in(tmp_path / "temp") > 0

        await eventually(half_sent, "a part of the upload")
        process = deployment.processes["standalone"]
        ending = asyncio.create_task(process.terminate())

        async def not_ready() -> bool:
            async with deployment.http.get(f"{process.url}/readyz") as answer:
                return answer.status == 503 and (await answer.json())["stopping"] is True

        await eventually(not_ready, "a service that says that it is stopping")
        is_stopping.set()
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


async def test_the_embedded_default_repairs_on_start_what_a_crash_left(tmp_path: Path) -> None:
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


async def test_one_image_that_cannot_be_repaired_does_not_stop_the_others(deployment: Deployment) -> None:
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
