"""One client that wants more than its share is refused. Others are served meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from tests.support.crowds import crowd, head_of_upload
from tests.support.deployment import Deployment, keys
from tests.support.eventually import eventually
from tests.support.pictures import photo

GREEDY, OTHER, PROXY = "127.0.0.2", "127.0.0.3", "127.0.0.9"
SETTINGS = {
    "TRUSTED_PROXIES": PROXY,
    "CLIENT_UPLOADS": "3",
    "CLIENT_UPLOAD_BYTES": "2000000",
    "CLIENT_STREAMS": "3",
    "MAX_UPLOAD_BYTES": "1500000",
}


PHOTO = photo(300, 200)


class Limited:
    """A deployment with these limits, and the names of what it took."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.taken: set[str] = set()

    @property
    def url(self) -> str:
        return self.deployment.url("ingest")

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    async def upload(self, client: str, forwarded: str = "") -> tuple[int, str | None]:
        """The status of a normal upload, and its Retry-After."""
        form = aiohttp.FormData()
        form.add_field("file", PHOTO, filename="photo.jpg")
        connector, headers = aiohttp.TCPConnector(local_addr=(client, 0)), {"X-Forwarded-For": forwarded}
        async with (
            aiohttp.ClientSession(connector=connector, headers=headers) as http,
            http.post(f"{self.url}/upload", data=form) as answer,
        ):
            if answer.status == 200:
                self.taken.add((await answer.json())["filename"])
            return answer.status, answer.headers.get("Retry-After")

    async def has_all_that_it_took_and_nothing_else(self) -> None:
        incoming = self.deployment.buckets.incoming
        assert {key for key in await keys(incoming) if key.endswith(".jpg") and key[-5].isdigit()} == self.taken
        for name in self.taken:
            assert await incoming.get(name) == PHOTO
        await self.deployment.nothing_temporary()


@pytest.fixture
async def limited(tmp_path: Path) -> AsyncIterator[Limited]:
    async with Deployment.prepared("embedded", tmp_path, **SETTINGS) as prepared:
        await prepared.start()
        limited = Limited(prepared)
        yield limited
        await limited.has_all_that_it_took_and_nothing_else()


async def is_refused(limited: Limited, client: str, forwarded: str = "") -> None:
    """Wait until an upload of the client is one too many."""

    async def refused() -> bool:
        return await limited.upload(client, forwarded) == (429, "5")

    await eventually(refused, "a refusal of one upload too many")


async def test_uploads_at_once(limited: Limited) -> None:
    async with crowd(limited.port, [GREEDY], [head_of_upload(5000)] * 3):
        await is_refused(limited, GREEDY)
        await is_refused(limited, GREEDY)
        assert await limited.upload(OTHER) == (200, None)

    async def is_taken() -> bool:
        return (await limited.upload(GREEDY))[0] == 200

    await eventually(is_taken, "an upload once the others have ended")
    lines = limited.deployment.processes["standalone"].lines()
    (client,) = {line["client"] for line in lines if line["event"] == "a client is refused"}
    assert client == GREEDY


async def test_clients_of_a_proxy_are_told_apart(limited: Limited) -> None:
    held = head_of_upload(5000, **{"X-Forwarded-For": "192.0.2.1, 2001:db8::2"})
    async with crowd(limited.port, [PROXY], [held] * 3):
        await is_refused(limited, PROXY, "203.0.113.5, 2001:db8::1")  # the same network of IPv6
        assert (await limited.upload(PROXY, "2001:db8::1, 203.0.113.5"))[0] == 200
        assert (await limited.upload(PROXY))[0] == 200


async def test_bytes_of_uploads(limited: Limited) -> None:
    unfinished = head_of_upload(1_400_000) + bytes(1_300_000)
    async with crowd(limited.port, [GREEDY], [unfinished] * 2) as connections:
        answers = [asyncio.ensure_future(one.status()) for one in connections]
        (refused,), waiting = await asyncio.wait(answers, return_when=asyncio.FIRST_COMPLETED)
        assert await refused == 429
        for one in waiting:
            one.cancel()
        assert (await limited.upload(OTHER))[0] == 200


async def test_event_streams(limited: Limited) -> None:
    name = await limited.deployment.uploaded(PHOTO)
    limited.taken.add(name)
    begin = f"GET /events/{name} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    async with crowd(limited.port, [GREEDY], [begin] * 4) as connections:
        assert sorted([await one.status() or 0 for one in connections]) == [200, 200, 200, 429]
        async with crowd(limited.port, [OTHER], [begin]) as (other,):
            assert await other.status() == 200
