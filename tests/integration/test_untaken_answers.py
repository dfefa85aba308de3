"""Clients that do not read what they asked for, against a server that takes few connections."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from aiohttp import ClientError, ClientSession, TCPConnector, web
from tests.support.eventually import eventually
from tests.support.servers import free_port

from common.http import BoundedSite
from common.http.patience import PATIENCE
from common.http.server import refuse_excess

MOST = 16  # connections
UNTAKEN_SECONDS = 6.0  # in less, a busy machine does not get to the limit of connections
LARGE = 16 * 1024 * 1024  # bytes; more than the kernel takes for a client that reads nothing


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[int]:
    """The port of a server with a large file, a large body, a stream that is silent for long, and a small answer."""
    large = tmp_path / "large"
    large.write_bytes(bytes(LARGE))

    async def file(_: web.Request) -> web.FileResponse:
        return web.FileResponse(large)

    async def body(_: web.Request) -> web.Response:
        return web.Response(body=bytes(LARGE))

    async def stream(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b"begin")
        await asyncio.sleep(2 * UNTAKEN_SECONDS)
        await answer.write(b"end")
        return answer

    async def small(_: web.Request) -> web.Response:
        return web.Response()

    app = web.Application(middlewares=[refuse_excess])
    app.add_routes([web.get(f"/{one.__name__}", one) for one in (file, body, stream, small)])
    runner, found = web.AppRunner(app), free_port()
    await runner.setup()
    try:
        await BoundedSite(runner, found, MOST, patience=PATIENCE._replace(untaken_seconds=UNTAKEN_SECONDS)).start()
        yield found
    finally:
        await runner.cleanup()


async def asked(port: int, path: str, times: int = 1) -> socket.socket:
    """A connection with little room for what comes, over which the path was asked for."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, ("127.0.0.1", port))
    await loop.sock_sendall(client, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() * times)
    return client


async def status(port: int) -> int | None:
    """The status of a small answer over a new connection, or None where it is closed."""
    try:
        async with (
            ClientSession(connector=TCPConnector(force_close=True)) as http,
            http.get(f"http://127.0.0.1:{port}/small") as answer,
        ):
            return answer.status
    except ClientError:
        return None


@pytest.mark.parametrize("path", ["/file", "/body"])
async def test_clients_that_read_no_answer_lose_their_connections(
    port: int, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def answered(expected: int) -> bool:
        return await status(port) == expected

    with ExitStack() as stack, caplog.at_level(logging.WARNING):
        for _ in range(MOST):
            stack.enter_context(await asked(port, path, times=10))
        await eventually(lambda: answered(503), "an answer that there are too many connections")
        await eventually(lambda: answered(200), "room for others")
    assert caplog.records == []


async def test_who_reads_slowly_or_waits_keeps_the_connection(port: int) -> None:
    loop = asyncio.get_running_loop()
    with await asked(port, "/file") as slow, await asked(port, "/stream") as waiting:
        end = loop.time() + 2 * UNTAKEN_SECONDS
        while loop.time() < end:
            assert await loop.sock_recv(slow, 1024)
            await asyncio.sleep(0.1)
        received = b""
        while b"end" not in received:
            piece = await loop.sock_recv(waiting, 1024)
            assert piece, received
            received += piece
