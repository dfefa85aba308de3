"""For how long a server waits for what a client sends next."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from aiohttp import web
from tests.support.servers import free_port

from common.http import BoundedSite
from common.http.patience import PATIENCE

HEAD_SECONDS, IDLE_SECONDS = 1.0, 5.0
WAIT_SECONDS = 60.0
ASK = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """The port of a server that answers everything."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="answer")

    app = web.Application()
    app.add_routes([web.get("/", answer)])
    patience = PATIENCE._replace(head_seconds=HEAD_SECONDS, idle_seconds=IDLE_SECONDS)
    runner, found = web.AppRunner(app), free_port()
    await runner.setup()
    try:
        await BoundedSite(runner, found, 100, patience=patience).start()
        yield found
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("answered", [0, 1, 2])
@pytest.mark.parametrize(("begun", "then"), [(b"", b""), (b"GET / HTTP/1.1\r\nX-Unfinished: ", b""), (b"GET /", b"x")])
async def test_a_head_that_does_not_end_is_given_up(port: int, answered: int, begun: bytes, then: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(answered):
        writer.write(ASK)
        assert (await reader.readuntil(b"answer")).startswith(b"HTTP/1.1 200")
    began = asyncio.get_running_loop().time()
    writer.write(begun)
    dripping = asyncio.ensure_future(drip(writer, then))
    async with asyncio.timeout(WAIT_SECONDS):
        with suppress(ConnectionResetError):  # something was sent when it had been closed
            assert await reader.read() == b""
    waited = asyncio.get_running_loop().time() - began
    assert waited > (IDLE_SECONDS if answered else HEAD_SECONDS) - 0.5
    dripping.cancel()
    writer.transport.abort()


async def drip(writer: asyncio.StreamWriter, piece: bytes) -> None:
    """Send the piece again and again, as part of a head."""
    while True:
        await asyncio.sleep(0.1)
        writer.write(piece)


async def test_a_connection_that_was_answered_can_be_used_again_when_a_first_head_would_be_given_up(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(3):
        writer.write(ASK)
        assert (await reader.readuntil(b"answer")).startswith(b"HTTP/1.1 200")
        await asyncio.sleep(2 * HEAD_SECONDS)
    writer.close()
