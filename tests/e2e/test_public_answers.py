"""What anybody is told while store or broker is away: that it is, when to come back, and nothing of where it is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.support.deployment import SECRET, Deployment
from tests.support.pictures import photo

NAME = "1475660224_0882910455.jpg"


@asynccontextmanager
async def folders_away(tmp_path: Path) -> AsyncIterator[tuple[Deployment, list[str]]]:
    async with Deployment.prepared("embedded", tmp_path) as deployment:
        await deployment.start()
        for name in ("incoming", "active"):
            (tmp_path / name).rename(tmp_path / f"{name}-away")
        yield deployment, [str(tmp_path), "incoming"]


@asynccontextmanager
async def temporary_away(tmp_path: Path) -> AsyncIterator[tuple[Deployment, list[str]]]:
    async with Deployment.prepared("embedded", tmp_path) as deployment:
        await deployment.start()
        (tmp_path / "temp").rename(tmp_path / "temp-away")
        yield deployment, [str(tmp_path)]


@asynccontextmanager
async def store_away(tmp_path: Path) -> AsyncIterator[tuple[Deployment, list[str]]]:
    async with Deployment.prepared("rabbit-s3", tmp_path) as deployment:
        assert deployment.s3 is not None
        settings = deployment.s3.environment(endpoint="http://127.0.0.1:9")
        for name in ("ingest", "publisher"):
            process = await deployment.launch(name, **settings, RABBITMQ_URL="amqp://user:word@127.0.0.1:9/hidden")
            await _answers(deployment, process.url)
        yield deployment, ["127.0.0.1", ":9", deployment.s3.incoming, deployment.s3.active, "hidden", "word", "user"]


async def _answers(deployment: Deployment, url: str) -> None:
    async with aiohttp.ClientSession() as http:
        for _ in range(600):
            try:
                async with http.get(f"{url}/livez"):
                    return
            except aiohttp.ClientError:
                await asyncio.sleep(0.1)
    raise AssertionError(deployment.processes)


def calls(deployment: Deployment) -> list[tuple[str, str, dict[str, object]]]:
    form = aiohttp.FormData()
    form.add_field("file", photo(300, 200), filename="x.jpg")
    named = {"secret": SECRET, "filename": NAME}
    ingest, publisher = deployment.url("ingest"), deployment.url("publisher")
    return [
        ("GET", f"{ingest}/readyz", {}),
        ("GET", f"{publisher}/readyz", {}),
        ("POST", f"{ingest}/upload", {"data": form}),
        ("GET", f"{ingest}/status/{NAME}", {}),
        ("POST", f"{publisher}/publish", {"json": named}),
        ("POST", f"{publisher}/publish", {"json": named | {"crop": "9x9+0+0"}}),
        ("POST", f"{publisher}/recrop", {"json": named}),
        ("POST", f"{publisher}/rotate", {"json": named}),
        ("POST", f"{publisher}/delete", {"json": {"secret": SECRET, "filenames": NAME}}),
        ("GET", f"{publisher}/active/{NAME}", {}),
    ]


@pytest.mark.parametrize("away", [folders_away, store_away, temporary_away])
async def test_nobody_is_told_where_what_is_away_is(away: Any, tmp_path: Path) -> None:
    async with away(tmp_path) as (deployment, hidden):

        async def is_refused(method: str, url: str, options: dict[str, Any]) -> bool:
            async with deployment.http.request(method, url, **options) as answer:
                text = await answer.text()
                assert answer.status in (200, 404, 503), (url, answer.status, text)
                assert ("Retry-After" in answer.headers) is (answer.status == 503)
                assert not [word for word in hidden if word in text], (url, text)
                return bool(answer.status == 503)

        asked = calls(deployment)
        answers = await asyncio.gather(*(is_refused(*call) for call in asked))
        refused = {url.rpartition("/")[2] for (_, url, _), is_one in zip(asked, answers, strict=True) if is_one}
        assert refused >= (
            {"upload"} if away is temporary_away else {"readyz", "upload", "publish", "rotate", "delete"}
        )
        logged = "".join(process.log.read_text() for process in deployment.processes.values())
        assert hidden[0] in logged, "who runs it learns where"
