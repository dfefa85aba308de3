"""Uploads that wait for their variants, as the old backends' clients expect: what cannot be shown fails at upload."""

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.support.deployment import Deployment, keys, watched
from tests.support.eventually import eventually
from tests.support.pictures import photo
from tests.support.proxy import Proxy

WHOLE = photo(300, 200)
BROKEN = WHOLE[: WHOLE.index(b"\xff\xda") + 14]  # all that comes before its pixels
STORED = {"success", "filename"}


async def upload(deployment: Deployment, data: bytes, **headers: str) -> tuple[int, dict[str, Any], str | None]:
    """`POST /upload`. Returns the status, the body, and which preference was applied."""
    form = aiohttp.FormData()
    form.add_field("file", io.BytesIO(data), filename="photo.jpg")
    async with deployment.http.post(f"{deployment.url('ingest')}/upload", data=form, headers=headers) as answer:
        return answer.status, await answer.json(), answer.headers.get("Preference-Applied")


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    async with watched(tmp_path) as prepared:
        yield prepared


async def test_the_answer_has_the_record_and_the_variants_are_there(deployment: Deployment) -> None:
    await deployment.start()
    status, body, applied = await upload(deployment, photo(300, 200), Prefer="wait=50")
    assert (status, applied) == (200, "wait=50")
    assert {variant["key"] for variant in body["record"]["variants"]} <= await keys(deployment.buckets.incoming)
    async with deployment.http.get(f"{deployment.url('ingest')}/status/{body['filename']}") as answer:
        assert body["record"] == (await answer.json())["records"]["base"]


async def test_of_ten_photos_the_broken_one_fails_alone_and_nothing_of_it_stays(deployment: Deployment) -> None:
    await deployment.start(UPLOAD_WAIT="50")
    photos = [photo(300, 200) for _ in range(9)]
    answers = await asyncio.gather(*(upload(deployment, data) for data in (*photos[:4], BROKEN, *photos[4:])))
    status, body, _ = answers.pop(4)
    assert status == 400
    assert "filename" not in body
    assert body["error"].startswith("the image is refused: ")
    assert [status for status, _, _ in answers] == [200] * 9
    names = {body["filename"][:-4] for _, body, _ in answers}
    left = await keys(deployment.buckets.incoming)
    assert {key for key in left if not any(key.startswith(name) for name in names)} == set()
    for _, body, _ in answers:
        assert await deployment.publish(body["filename"]) == (200, {"success": True})


@pytest.mark.parametrize(
    ("prefer", "applied", "besides"),
    [
        ("respond-async", "respond-async", []),
        ("wait=0", "wait=0", []),
        ('WAIT = "50"; why=photo', "wait=50", ["record"]),
        ("respond-async, wait=50", "wait=50", ["record"]),
        ("wait=99999", "wait=60", ["record"]),
        ("wait=soon", None, ["record"]),
        ("wait=-1", None, ["record"]),
        ("return=minimal", None, ["record"]),
        ("", None, ["record"]),
    ],
)
async def test_what_the_client_prefers_comes_before_the_setting(
    deployment: Deployment, prefer: str, applied: str | None, besides: list[str]
) -> None:
    await deployment.start(UPLOAD_WAIT="50")
    status, body, found = await upload(deployment, photo(300, 200), Prefer=prefer)
    assert (status, found) == (200, applied)
    assert set(body) == {*STORED, *besides}


async def test_without_a_wait_a_broken_photo_fails_later(deployment: Deployment) -> None:
    await deployment.start()
    status, body, applied = await upload(deployment, BROKEN)
    assert (status, set(body), applied) == (200, STORED, None)
    await deployment.wait_for(deployment.buckets.incoming, f"{body['filename'][:-4]}.json")
    assert (await deployment.publish(body["filename"]))[0] == 422


async def test_without_a_resizer_the_upload_is_answered_when_the_time_is_over(tmp_path: Path) -> None:
    async with Deployment.prepared("rabbit-local", tmp_path) as deployment:
        await deployment.start("ingest")
        status, body, applied = await upload(deployment, photo(300, 200), Prefer="wait=1")
        assert (status, set(body), applied) == (200, STORED, "wait=1")
        assert body["filename"] in await keys(deployment.buckets.incoming)


@pytest.mark.parametrize("trouble", ["down", "silent"])
async def test_without_its_broker_an_upload_waits_for_no_variants(tmp_path: Path, trouble: str) -> None:
    async with Deployment.prepared("rabbit-local", tmp_path) as deployment:
        assert deployment.vhost is not None
        async with Proxy.to(*deployment.vhost.address) as proxy:
            await deployment.start("ingest", RABBITMQ_URL=deployment.vhost.url_through(proxy.port))
            if trouble == "down":
                await proxy.cut()
            else:
                proxy.stall()
            async with asyncio.timeout(30):
                status, body, _ = await upload(deployment, photo(300, 200), Prefer="wait=60")
            assert (status, set(body)) == (200, STORED)


async def test_a_service_that_is_told_to_stop_answers_whoever_waits(tmp_path: Path) -> None:
    async with Deployment.prepared("rabbit-local", tmp_path) as deployment:
        await deployment.start("ingest")
        waiting = asyncio.create_task(upload(deployment, photo(300, 200), Prefer="wait=60"))

        async def stored() -> bool:
            return bool(await keys(deployment.buckets.incoming))

        await eventually(stored, "an original")
        async with asyncio.timeout(30):
            assert await deployment.processes["ingest"].terminate() == 0
            status, body, _ = await waiting
        assert (status, set(body)) == (200, STORED)
