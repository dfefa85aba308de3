"""Connections that keep a service waiting, against few descriptors: others are served, and the service stays well."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest
from tests.support.deployment import Deployment
from tests.support.eventually import eventually
from tests.support.pictures import photo
from tests.support.process import Process

DESCRIPTORS = 256
OTHER = "127.0.0.2"  # the crowds come from 127.0.0.1, and of a client with many connections the newest may be lost
WAIT_SECONDS = 40.0  # a service gives an unfinished head a quarter of that
SLOW_UPLOAD = (
    b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 5000\r\n\r\n"
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="x.jpg"\r\n\r\n'
)
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    async with Deployment.prepared("embedded", tmp_path) as prepared:
        process = await prepared.launch("standalone", through=("prlimit", f"--nofile={DESCRIPTORS}:{DESCRIPTORS}"))
        await prepared.wait_ready(process)
        yield prepared
        assert process.running
        assert "no connection can be accepted" not in process.log.read_text()


async def opened(port: int, begin: bytes) -> Stream:
    """An open connection over which `begin` was sent. The service may close it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(begin)
    with suppress(ConnectionError):
        await writer.drain()
    return reader, writer


@asynccontextmanager
async def connections(port: int, number: int, begin: bytes) -> AsyncIterator[list[Stream]]:
    """That many open connections, over which `begin` was sent. The service may close them."""
    streams: list[Stream] = []
    try:
        for _ in range(number):
            streams.append(await opened(port, begin))  # noqa: PERF401 - if one fails, the others are closed
        yield streams
    finally:
        for _, writer in streams:
            writer.transport.abort()


def port(process: Process) -> int:
    return int(process.url.rpartition(":")[2])


def other_client() -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(local_addr=(OTHER, 0), force_close=True)
    return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60))


async def get(url: str) -> int:
    """The status that another client is answered, over a connection of its own."""
    async with other_client() as http, http.get(url) as answer:
        await answer.read()
        return answer.status


async def closed(stream: Stream) -> None:
    """Return once the service has closed the connection."""
    with suppress(ConnectionError):
        while await stream[0].read(10_000):
            pass


async def served(deployment: Deployment) -> None:
    process = deployment.processes["standalone"]
    assert await get(f"{process.url}/livez") == 200
    assert await get(f"http://127.0.0.1:{process.metrics_port}/metrics") == 200
    assert await takes_an_upload(process)


async def takes_an_upload(process: Process) -> bool:
    form = aiohttp.FormData()
    form.add_field("file", photo(300, 200), filename="photo.jpg")
    # Over a connection of its own: one that has been idle for as long as heads may take is being closed.
    async with other_client() as http, http.post(f"{process.url}/upload", data=form) as answer:
        return answer.status == 200


async def silent(_: list[Stream]) -> None:
    """Send no more."""
    await asyncio.Event().wait()


async def dripping(streams: list[Stream]) -> None:
    """Send a byte a second over each of them."""
    while True:
        await asyncio.sleep(1)
        for _, writer in streams:
            writer.write(b"x")


@pytest.mark.parametrize(
    ("begin", "go_on"),
    [
        (b"", silent),
        (b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Unfinished: ", silent),
        (b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Unfinished: ", dripping),
    ],
)
async def test_heads_that_never_end_are_given_up_and_keep_nobody_out(
    deployment: Deployment, begin: bytes, go_on: Callable[[list[Stream]], Awaitable[None]]
) -> None:
    async with connections(port(deployment.processes["standalone"]), 300, begin) as streams:
        going_on = asyncio.ensure_future(go_on(streams))
        await served(deployment)
        async with asyncio.timeout(WAIT_SECONDS):
            await asyncio.gather(*map(closed, streams))
        going_on.cancel()
    await served(deployment)


async def test_crowds_that_were_answered_keep_nobody_out(deployment: Deployment) -> None:
    begin = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET /li"
    async with connections(port(deployment.processes["standalone"]), 300, begin) as streams:
        going_on = asyncio.ensure_future(dripping(streams))
        await served(deployment)
        going_on.cancel()


async def test_a_proxy_may_keep_a_connection_for_a_minute(deployment: Deployment) -> None:
    ask = b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"
    async with connections(port(deployment.processes["standalone"]), 1, ask) as [(reader, writer)]:
        assert b" 200 " in await reader.read(10_000)
        await asyncio.sleep(61)
        writer.write(ask)
        assert b" 200 " in await reader.read(10_000)


async def test_more_requests_than_can_be_served_are_told_so_and_health_is_still_seen(deployment: Deployment) -> None:
    process = deployment.processes["standalone"]
    async with connections(port(process), 300, SLOW_UPLOAD) as streams:
        # What the kernel still holds back of the crowd may come late, and push one of these out.
        async def too_many() -> bool:
            # The look before may have taken the place of one of the crowd that was not read yet, and freed it.
            streams.append(await opened(port(process), SLOW_UPLOAD))
            # A connection of its own each time: one that was served before the others came would be served again.
            connector = aiohttp.TCPConnector(force_close=True)
            with suppress(aiohttp.ClientError):
                async with (
                    aiohttp.ClientSession(connector=connector) as http,
                    http.post(f"{process.url}/publish", json={}) as answer,
                ):
                    if answer.status == 503:
                        assert int(answer.headers["Retry-After"]) > 0
                        assert "too many connections" in (await answer.json())["error"]
                        return True
                    assert answer.status == 401
            return False

        async def healthy() -> bool:
            with suppress(aiohttp.ClientError):
                return {await get(f"{process.url}{path}") for path in ("/livez", "/readyz", "/ping")} == {200}
            return False

        await eventually(too_many, "an answer that there are too many connections")
        await eventually(healthy, "an answer how the service is")
        assert await get(f"http://127.0.0.1:{process.metrics_port}/metrics") == 200
        for _, writer in streams:
            writer.transport.abort()
    await eventually(lambda: takes_an_upload(process), "room for others once they have gone")


async def test_crowds_at_the_metrics_keep_neither_them_nor_the_service_away(deployment: Deployment) -> None:
    process = deployment.processes["standalone"]
    async with connections(process.metrics_port, 300, b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Unfinished: "):
        await served(deployment)


@pytest.mark.parametrize("proxies", ["192.0.2.1", "127.0.0.0/8"], ids=["clients", "proxy"])
async def test_a_crowd_that_comes_at_once_loses_connections_unless_it_is_a_proxy(tmp_path: Path, proxies: str) -> None:
    async with Deployment.prepared("embedded", tmp_path, TRUSTED_PROXIES=proxies) as prepared:
        process = await prepared.launch("standalone", through=("prlimit", f"--nofile={DESCRIPTORS}:{DESCRIPTORS}"))
        await prepared.wait_ready(process)
        process.suspend()  # so that all of them wait
        async with connections(port(process), 300, b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"):
            process.resume()
            await served(prepared)
            metrics = f"http://127.0.0.1:{process.metrics_port}/metrics"
            async with prepared.http.get(metrics) as answer:
                lost = 'image_backend_http_dropped_total{which="not served yet"}' in await answer.text()
        assert lost == (proxies == "192.0.2.1")


async def test_a_service_takes_as_many_descriptors_as_it_may(tmp_path: Path) -> None:
    async with Deployment.prepared("embedded", tmp_path) as prepared:
        process = await prepared.launch("standalone", through=("prlimit", "--nofile=256:3000"))
        await prepared.wait_ready(process)
        assert process.most_descriptors() == 3000
        async with connections(port(process), 600, SLOW_UPLOAD):
            await served(prepared)


@pytest.mark.parametrize(
    "sent", [b"GET /\x01 HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nno field\r\n\r\n"], ids=["path", "field"]
)
async def test_what_is_not_http_is_the_client_s_error_and_no_line_of_the_log(
    deployment: Deployment, sent: bytes
) -> None:
    process = deployment.processes["standalone"]
    async with connections(port(process), 1, sent) as ((reader, _),):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert head.split()[1] == b"400"
    assert json.loads(body) == {"success": False, "error": "the request is not HTTP as RFC 9112 has it"}
    assert not [line for line in process.lines() if line["level"] == "error"]
