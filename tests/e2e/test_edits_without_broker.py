"""Edits are commands: without a broker they are refused and leave nothing, and what needs none is done all the same."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest
from tests.support.deployment import SECRET, Deployment, complete, keys
from tests.support.eventually import eventually
from tests.support.pictures import dimensions, photo
from tests.support.process import Process
from tests.support.proxy import Proxy


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    async with Deployment.prepared("rabbit-local", tmp_path, EDIT_WAIT="2") as prepared:
        yield prepared


async def call(deployment: Deployment, path: str, **fields: object) -> int:
    body = {"secret": SECRET, **fields}
    async with deployment.http.post(f"{deployment.url('publisher')}{path}", json=body) as answer:
        return answer.status


async def has_its_broker(deployment: Deployment) -> None:
    """Wait until the publisher is connected: it is ready before."""

    async def connected() -> bool:
        async with deployment.http.get(f"{deployment.url('publisher')}/readyz") as answer:
            return bool((await answer.json())["broker"] == "ok")

    await eventually(connected, "a publisher that is connected to its broker")


@pytest.mark.parametrize("trouble", ["down", "blocked"])
async def test_the_broker_is_away(deployment: Deployment, trouble: str) -> None:
    assert deployment.vhost is not None
    async with Proxy.to(*deployment.vhost.address) as proxy:
        await deployment.start("ingest", "resizer")
        await deployment.start("publisher", RABBITMQ_URL=deployment.vhost.url_through(proxy.port))
        name = await deployment.uploaded(photo(300, 200))
        assert (await deployment.publish(name))[0] == 200
        await eventually(lambda: complete(deployment, name), "all of the image, public")
        await has_its_broker(deployment)
        before = await keys(deployment.buckets.active)
        if trouble == "down":
            await proxy.cut()
        else:
            proxy.stall()
        assert await call(deployment, "/rotate", filename=name) == 503
        assert await call(deployment, "/recrop", filename=name, crop="10x10+0+0") == 503
        assert await keys(deployment.buckets.active) == before
        assert await call(deployment, "/delete", filenames=name) == 200
        assert await keys(deployment.buckets.active) == set()
        if trouble == "down":
            await proxy.restore()
        else:
            proxy.flow()


@pytest.mark.parametrize("trouble", ["down", "blocked", "killed"])
async def test_a_crop_is_answered_with_yes_only_once_the_broker_has_its_request(
    deployment: Deployment, trouble: str
) -> None:
    """If it is not, nothing is changed, or the reconciler goes on with it: no state is left that nothing repairs."""
    assert deployment.vhost is not None
    active = deployment.buckets.active
    often = {"RECONCILE_AFTER": "0.5", "RECONCILE_INTERVAL": "0.3"}
    async with Proxy.to(*deployment.vhost.address) as proxy:
        await deployment.start("ingest", "resizer")
        url = deployment.vhost.url_through(proxy.port)
        await deployment.start("publisher", RABBITMQ_URL=url, **often)
        name = await deployment.uploaded(photo(300, 200))
        assert (await deployment.publish(name))[0] == 200
        await eventually(lambda: complete(deployment, name), "all of the image, public")
        await has_its_broker(deployment)
        before = await keys(active)
        if trouble == "down":
            await proxy.cut()
            assert await call(deployment, "/publish", filename=name, crop="100x50+0+0") == 503
            assert await keys(active) == before
            assert await keys(deployment.buckets.incoming) == set()
            return
        proxy.stall()
        asking = asyncio.create_task(call(deployment, "/publish", filename=name, crop="100x50+0+0"))
        if trouble == "blocked":
            assert await asking == 503
            proxy.flow()
            if await keys(active) == before:  # the publisher knew of the trouble already
                assert f"{name[:-4]}.crop" not in await keys(deployment.buckets.incoming)
                return
        else:
            await deployment.wait_for(active, f"{name[:-4]}.crop")
            await deployment.processes["publisher"].kill()
            with suppress(aiohttp.ClientError):
                assert await asking == 503, "the broker did not take the request before it was killed"
            proxy.flow()
            await deployment.start("publisher", **often)

        async def shows_crop() -> bool:
            async with deployment.http.get(f"{deployment.url('ingest')}/status/{name}") as answer:
                status = await answer.json()
            return bool(status["settled"] and status["records"]["base"]["crop"] == "100x50+0+0")

        await eventually(shows_crop, "versions that show the crop")
        assert dimensions(await active.get(f"{name[:-4]}BI.jpg")) == (100, 50)


async def test_nobody_makes_the_thumbnails(deployment: Deployment) -> None:
    await deployment.start("ingest", "publisher")
    name = await deployment.uploaded(photo(300, 200))
    assert (await deployment.publish(name))[0] == 200
    assert await call(deployment, "/rotate", filename=name) == 503
    assert await keys(deployment.buckets.active) == {name}, "the old one is there, and the new one is not"
    await deployment.start("resizer")  # what it still finds to do must not bring the new one back
    await deployment.wait_for(deployment.buckets.active, f"{name[:-4]}.json")
    assert {key[:-4][:21] for key in await keys(deployment.buckets.active)} == {name[:-4]}


async def has_begun_an_edit(deployment: Deployment, service: Process, name: str) -> bool:
    """Whether an original is being turned, or there is more than the image of this name already."""
    async with deployment.http.get(f"http://127.0.0.1:{service.metrics_port}/metrics") as answer:
        if 'image_backend_imaging_workers_busy{pool="edits"} 1.0' in await answer.text():
            return True
    return any(not key.startswith(name[:-4]) for key in await keys(deployment.buckets.active))


@pytest.mark.parametrize("kind", ["embedded", "rabbit-local"])
async def test_a_service_that_stops_takes_an_edit_back_or_finishes_it(kind: str, tmp_path: Path) -> None:
    async with Deployment.prepared(kind, tmp_path, EDIT_WAIT="100", SHUTDOWN_TIMEOUT="120") as deployment:
        await deployment.start()
        name = await deployment.uploaded(photo())
        assert (await deployment.publish(name))[0] == 200
        await eventually(lambda: complete(deployment, name), "all of the image, public")
        service = deployment.processes["standalone" if kind == "embedded" else "publisher"]
        rotating = asyncio.create_task(call(deployment, "/rotate", filename=name))
        await eventually(lambda: has_begun_an_edit(deployment, service, name), "an edit in hand")
        start = time.monotonic()
        assert await service.terminate() == 0
        assert time.monotonic() - start < 90, "well before SHUTDOWN_TIMEOUT"
        assert await rotating == 200
        assert name not in await keys(deployment.buckets.active)
