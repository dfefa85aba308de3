"""A real RabbitMQ, and a virtual host of its own for each test."""

import asyncio
import http.client
import os
import re
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from http import HTTPStatus
from pathlib import Path
from typing import Self
from urllib.parse import quote
from uuid import uuid4

import aiohttp
from tests.support.debian_rabbitmq import MODEST, PORTS, PROGRAM, launch_debian, prepare
from tests.support.docker import ready, run_container
from tests.support.servers import Addresses, Started, Unavailable, free_port, shared, wait_for

from common.messaging.topology import QUEUES

IMAGE = os.environ.get("TEST_RABBITMQ_IMAGE", "rabbitmq:4.1-management")


def broker() -> Addresses:
    """The run's broker: `amqp` is HOST:PORT, `management` the address of its HTTP API; guest may do everything."""
    return shared("rabbitmq", [_from_environment, _in_docker, _of_debian])


def _from_environment(_: Path) -> Started:
    if "TEST_RABBITMQ" not in os.environ:
        raise Unavailable("TEST_RABBITMQ and TEST_RABBITMQ_MANAGEMENT are not set")
    return {"amqp": os.environ["TEST_RABBITMQ"], "management": os.environ["TEST_RABBITMQ_MANAGEMENT"]}, {}


def _in_docker(_: Path) -> Started:
    settings = {"RABBITMQ_DEFAULT_USER": "guest", "RABBITMQ_DEFAULT_PASS": "guest", **MODEST}
    identity, ports = run_container(IMAGE, [5672, 15672], settings)
    addresses = {"amqp": ports[5672], "management": f"http://{ports[15672]}"}
    return ready(identity, addresses, "RabbitMQ in Docker", lambda: _has_started(addresses))


def _of_debian(folder: Path) -> Started:
    if not PROGRAM.exists():
        raise Unavailable("Debian's rabbitmq-server is not installed")
    ports = {name: free_port() for name in PORTS}
    prepare(folder, ports)
    process, stopper = launch_debian(folder, ports)
    addresses = {"amqp": f"127.0.0.1:{ports['amqp']}", "management": f"http://127.0.0.1:{ports['management']}"}
    wait_for("Debian's RabbitMQ", lambda: _has_started(addresses), process)
    return addresses, stopper


def _has_started(addresses: Addresses) -> bool:
    """Whether virtual hosts can be made and clients can connect.

    The management listens before it knows its addresses (it answers 404), and before the broker takes connections.
    """
    host, port = addresses["amqp"].split(":")
    try:
        management = http.client.HTTPConnection(addresses["management"].removeprefix("http://"), timeout=2)
        with closing(management), socket.create_connection((host, int(port)), timeout=2):
            management.request("GET", "/api/vhosts")
            return management.getresponse().status == HTTPStatus.UNAUTHORIZED
    except (OSError, http.client.HTTPException):
        return False


def _are_all(names: set[str]) -> bool:
    """Whether the last work queue has as many others as the first."""
    others = [sum(name.startswith(f"{queue.name}.") for name in names) for queue in (QUEUES[0], QUEUES[-1])]
    return others[0] == others[1] > 0


class VirtualHost:
    """A broker of its own, as far as a test can tell. `nodes` has the addresses of each node of the real one."""

    def __init__(self, name: str, nodes: Sequence[Addresses]) -> None:
        self._name = name
        self._nodes = nodes
        self._api = aiohttp.ClientSession(headers={"Authorization": aiohttp.encode_basic_auth("guest", "guest")})

    @property
    def url(self) -> str:
        """What RABBITMQ_URL is set to."""
        return ",".join(f"amqp://guest:guest@{node['amqp']}/{self._name}" for node in self._nodes)

    @property
    def address(self) -> tuple[str, int]:
        """The host and port of the broker, which has one node."""
        (address,) = self.addresses
        return address

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """The host and port of each node."""
        pairs = [node["amqp"].split(":") for node in self._nodes]
        return [(host, int(port)) for host, port in pairs]

    def url_through(self, *ports: int) -> str:
        """The same broker, through what listens on local ports: one for each node."""
        return ",".join(f"amqp://guest:guest@127.0.0.1:{port}/{self._name}" for port in ports)

    @classmethod
    @asynccontextmanager
    async def fresh(cls) -> AsyncIterator[Self]:
        """A new virtual host of the run's broker, which goes with all that is in it."""
        host = cls(f"test-{uuid4().hex[:12]}", [broker()])
        async with host._api:
            await host._create()
            try:
                yield host
            finally:
                await host._wait_until_declared()
                await host._call("DELETE", f"vhosts/{host._name}")

    @classmethod
    @asynccontextmanager
    async def only(cls, nodes: Sequence[Addresses]) -> AsyncIterator[Self]:
        """The virtual host that a new broker has: that of a broker of these nodes, which nobody else uses."""
        host = cls("%2F", nodes)
        async with host._api:
            yield host

    async def _create(self) -> None:
        await self._call("PUT", f"vhosts/{self._name}")
        await self.allow()

    async def _wait_until_declared(self) -> None:
        """Return once no queue is being declared.

        A service that was killed may have been about to. RabbitMQ 3.10 answers INTERNAL_ERROR to everybody from then on
        if a queue and its virtual host are deleted while the queue starts.
        """
        before: set[str] | None = None
        while (names := set(await self.queues())) != before and not _are_all(names):
            before = names
            await asyncio.sleep(0.3)

    async def queues(self) -> dict[str, dict[str, object]]:
        """All queues by name, as the management API describes them."""
        found = await self._call("GET", f"queues/{self._name}")
        assert isinstance(found, list)
        return {queue["name"]: queue for queue in found}

    async def put_message(self, queue: str, body: str, headers: dict[str, object] | None = None) -> None:
        """Put any message at all straight into a queue."""
        properties = {"delivery_mode": 2, "headers": headers or {}}
        message = {"properties": properties, "routing_key": queue, "payload": body, "payload_encoding": "string"}
        await self._call("POST", f"exchanges/{self._name}/amq.default/publish", message)

    async def remove_queue(self, queue: str) -> None:
        """Remove a queue, as an operator may by mistake."""
        await self._call("DELETE", f"queues/{self._name}/{quote(queue)}")

    async def replace_queue(self, queue: str, arguments: dict[str, object]) -> None:
        """Put a queue with other arguments in its place, as an operator may."""
        await self.remove_queue(queue)
        body = {"durable": True, "arguments": arguments}
        await self._call("PUT", f"queues/{self._name}/{quote(queue)}", body)

    async def fill(self, queue: str) -> None:
        """Let the queue refuse what is published, until it is emptied."""
        policy = {"pattern": f"^{re.escape(queue)}$", "definition": {"max-length": 1}, "apply-to": "queues"}
        await self._call("PUT", f"policies/{self._name}/full", policy)
        for _ in range(2):
            await self.put_message(queue, "one more")

    async def empty(self, queue: str) -> None:
        """Let the queue take again what is published."""
        await self._call("DELETE", f"policies/{self._name}/full")
        await self.purge(queue)

    async def purge(self, queue: str) -> None:
        """Lose every message of a queue."""
        await self._call("DELETE", f"queues/{self._name}/{quote(queue)}/contents")

    async def remove_exchange(self, exchange: str) -> None:
        """Remove an exchange, as an operator may by mistake."""
        await self._call("DELETE", f"exchanges/{self._name}/{quote(exchange)}")

    async def close_connections(self) -> None:
        """Close all connections, as an operator may. The management may still name some that have ended."""
        found = await self._call("GET", f"vhosts/{self._name}/connections")
        assert isinstance(found, list)
        for connection in found:
            try:
                await self._call("DELETE", f"connections/{quote(connection['name'])}")
            except aiohttp.ClientResponseError as error:
                if error.status != HTTPStatus.NOT_FOUND:
                    raise

    async def forbid(self) -> None:
        """Take the virtual host away from the user."""
        await self._call("DELETE", f"permissions/{self._name}/guest")

    async def allow(self) -> None:
        """Let the user do everything in the virtual host."""
        await self._call("PUT", f"permissions/{self._name}/guest", {"configure": ".*", "write": ".*", "read": ".*"})

    async def messages(self, queue: str) -> list[dict[str, object]]:
        """The messages of a queue; they stay."""
        how = {"count": 100, "ackmode": "ack_requeue_true", "encoding": "auto"}
        found = await self._call("POST", f"queues/{self._name}/{quote(queue)}/get", how)
        assert isinstance(found, list)
        return found

    async def _call(self, method: str, path: str, body: object = None) -> object:
        """Ask the first node."""
        async with self._api.request(method, f"{self._nodes[0]['management']}/api/{path}", json=body) as answer:
            answer.raise_for_status()
            return await answer.json() if answer.content_type == "application/json" and method != "PUT" else None
