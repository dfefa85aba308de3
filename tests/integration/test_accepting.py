"""In which order connections are served, and which are given up, when more come at once than can be served."""

import asyncio
import resource
import socket
import struct
from collections.abc import AsyncIterator, Iterator, MutableMapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from ipaddress import ip_network
from typing import Any

import pytest
from aiohttp import ClientSession, web
from structlog.testing import capture_logs
from tests.support.eventually import eventually
from tests.support.servers import free_port

from common.http import BoundedSite
from common.http.accepting import Acceptor, AcceptQueue
from common.http.clients import EVERYWHERE
from common.settings.values import Network

CROWD, OTHERS, VISITOR = "127.0.0.1", "127.0.0.2", "127.0.0.3"
FEW = 20  # of hundreds: the visitor does not wait for the crowd
Address = tuple[str, int]


class Served(asyncio.Protocol):
    """Notes who is served, in this order."""

    def __init__(self, clients: list[str]) -> None:
        self._clients = clients

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._clients.append(transport.get_extra_info("peername")[0])


@asynccontextmanager
async def accepting(most: int, proxies: tuple[Network, ...] = ()) -> AsyncIterator[tuple[Address, list[str]]]:
    """The address of an acceptor, and whom it has served."""
    listening = socket.create_server(("127.0.0.1", 0))
    with accepted(listening, most=most, proxies=proxies) as served:
        yield listening.getsockname(), served


@contextmanager
def accepted(*listening: socket.socket, most: int, proxies: tuple[Network, ...]) -> Iterator[list[str]]:
    """An acceptor at these sockets: whom it has served."""
    served: list[str] = []
    acceptor = Acceptor(listening, lambda: Served(served), AcceptQueue(most, proxies))
    acceptor.listen()
    try:
        yield served
    finally:
        acceptor.close()


@contextmanager
def connected(address: Address, *clients: str) -> Iterator[list[socket.socket]]:
    """Connections that the kernel has taken. As the loop does not run meanwhile, none is served yet."""
    opened: list[socket.socket] = []
    try:
        opened.extend(socket.create_connection(address, source_address=(client, 0)) for client in clients)
        yield opened
    finally:
        for one in opened:
            one.close()


async def is_closed(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


async def count_closed(connections: list[socket.socket]) -> int:
    return sum([await is_closed(one) for one in connections])


async def served_as_many(served: list[str], number: int) -> None:
    async def as_many() -> bool:
        return len(served) >= number

    await eventually(as_many, f"{number} connections that are served")


async def test_clients_take_turns() -> None:
    async with accepting(most=1000) as (address, served):
        with connected(address, *[CROWD] * 200, *[OTHERS] * 200, VISITOR) as all_of_them:
            await served_as_many(served, 401)
            assert VISITOR in served[:FEW]
            assert OTHERS in served[:FEW]
            assert await count_closed(all_of_them) == 0


async def test_of_more_than_there_is_room_for_the_crowd_loses_some_and_others_none() -> None:
    async with accepting(most=50) as (address, served):
        with connected(address, *[CROWD] * 250, *[OTHERS] * 5, VISITOR) as opened:
            await served_as_many(served, 6)
            assert VISITOR in served[:FEW]
            crowd, others = opened[:250], opened[250:]

            async def all_settled() -> bool:
                return await count_closed(crowd) + served.count(CROWD) == 250

            await eventually(all_settled, "connections that are served or closed")
            assert await count_closed(others) == 0
            assert served.count(CROWD) < 250


@pytest.mark.parametrize("proxies", [(ip_network("127.0.0.1/32"),), EVERYWHERE], ids=["named", "everywhere"])
async def test_a_proxy_loses_no_connection(proxies: tuple[Network, ...]) -> None:
    async with accepting(most=50, proxies=proxies) as (address, served):
        with connected(address, *[CROWD] * 300, VISITOR) as opened:
            await served_as_many(served, 301)
            assert await count_closed(opened) == 0


async def test_clients_with_one_connection_each_lose_none() -> None:
    clients = [f"127.0.1.{number}" for number in range(1, 201)]
    async with accepting(most=50) as (address, served):
        with connected(address, *clients) as opened:
            await served_as_many(served, 200)
            assert sorted(served) == sorted(clients)
            assert await count_closed(opened) == 0


@pytest.mark.parametrize("crowded", [0, 1])
async def test_a_crowd_at_one_address_of_the_port_keeps_nobody_from_the_other(crowded: int) -> None:
    listening = [socket.create_server((address, 0)) for address in ("127.0.0.1", "127.0.0.2")]
    quiet = listening[1 - crowded]
    with (
        accepted(*listening, most=50, proxies=EVERYWHERE) as served,
        connected(listening[crowded].getsockname(), *[CROWD] * 300),
        connected(quiet.getsockname(), VISITOR),
    ):
        await served_as_many(served, 301)
        assert VISITOR in served[: 2 * FEW]


async def test_connections_that_are_not_served_yet_are_closed_with_the_port() -> None:
    async with AsyncExitStack() as stack:
        address, served = await stack.enter_async_context(accepting(most=1000))
        with connected(address, *[CROWD] * 200) as opened:
            for _ in range(4):
                await asyncio.sleep(0)  # one turn of the loop
            await stack.aclose()

            async def all_settled() -> bool:
                return await count_closed(opened) + len(served) == 200

            await eventually(all_settled, "connections that are served or closed")
            assert len(served) < 200


async def test_no_request_is_handled_of_a_client_that_has_reset_its_connection_and_cannot_be_told() -> None:
    async with answering() as (address, clients):
        with connected(address, *[CROWD] * 20) as gone:
            for one in gone:
                one.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        async with ClientSession() as http, http.get(f"http://{address[0]}:{address[1]}/") as answer:
            assert answer.status == 200
        assert clients == ["127.0.0.1"]


@asynccontextmanager
async def answering() -> AsyncIterator[tuple[Address, list[str | None]]]:
    """The address of an HTTP server, and the clients whose requests it has handled."""
    clients: list[str | None] = []

    async def handle(request: web.Request) -> web.Response:
        clients.append(request.remote)
        return web.Response()

    app = web.Application()
    app.router.add_get("/", handle)
    runner, port = web.AppRunner(app), free_port()
    await runner.setup()
    try:
        await BoundedSite(runner, port, 100).start()
        yield ("127.0.0.1", port), clients
    finally:
        await runner.cleanup()


async def test_without_descriptors_it_says_so_and_accepts_again_later() -> None:
    async with accepting(most=1000) as (address, served):
        with connected(address, VISITOR), capture_logs() as lines:
            with _no_descriptors_left():
                await eventually(partial(said, lines), "word of it")
                assert served == []
            await served_as_many(served, 1)
    assert [line["event"] for line in lines] == ["no connection can be accepted for a second"]


async def said(lines: list[MutableMapping[str, Any]]) -> bool:
    return bool(lines)


@contextmanager
def _no_descriptors_left() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = socket.socket()
    lowest = spare.fileno()
    spare.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
