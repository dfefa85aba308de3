"""A RabbitMQ that a test may kill, set or command, which the one of the whole run is not."""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import aiohttp
from tests.support.debian_rabbitmq import PORTS, PROGRAM, as_user, launch_debian, node_name, prepare
from tests.support.docker import can_get
from tests.support.eventually import eventually
from tests.support.rabbitmq import IMAGE
from tests.support.servers import RUN, free_port, stop

_USER = {"RABBITMQ_DEFAULT_USER": "guest", "RABBITMQ_DEFAULT_PASS": "guest"}
_OPTIONS = "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"
_START_SECONDS = 180  # a node of a cluster waits for others, and all of them for the processor


class MortalBroker(Protocol):
    """A broker, which keeps what it stored when it is killed and started again."""

    url: str

    async def kill(self) -> None:
        """SIGKILL."""

    async def start(self) -> None:
        """Start it again, and wait until it accepts connections."""

    async def control(self, *arguments: str) -> str:
        """What `rabbitmqctl` prints."""


@asynccontextmanager
async def mortal_broker(options: str = "") -> AsyncIterator[MortalBroker]:
    """In Docker where there is an engine, else Debian's; `options` are Erlang's, such as `-rabbit NAME VALUE`."""
    broker: _InDocker | DebianBroker = _InDocker(options) if can_get(IMAGE) else DebianBroker(debian_ports(), options)
    await broker.start()
    try:
        yield broker
    finally:
        await broker.end()


def debian_ports() -> dict[str, int]:
    """Free ports for one of Debian's brokers."""
    return {name: free_port() for name in PORTS}


class DebianBroker:
    """Debian's RabbitMQ, which is one node of a cluster if the lines of its `settings` say so."""

    def __init__(self, ports: dict[str, int], options: str, settings: str = "") -> None:
        assert PROGRAM.exists(), "expected Debian's rabbitmq-server"
        # Debian's server runs as a user of its own, who cannot reach the folders of tests.
        self._folder = Path(os.environ[RUN]) / f"mortal-{uuid4().hex[:12]}"
        self._ports = ports
        self.url = f"amqp://guest:guest@127.0.0.1:{ports['amqp']}/"
        self._options = options
        prepare(self._folder, ports, settings)

    async def start(self) -> None:
        """Start it, also once more with what it had stored, and wait until it accepts connections."""
        self._process, self._stopper = launch_debian(self._folder, self._ports, self._options)
        await eventually(self._accepts, "the broker", _START_SECONDS)

    async def kill(self) -> None:
        """SIGKILL."""
        self.signal(signal.SIGKILL)
        await asyncio.to_thread(self._process.wait)
        # The process that listens is another one of its group, and may end later than the first.
        await eventually(self._refuses, "the end of the broker", _START_SECONDS)

    async def _accepts(self) -> bool:
        """Whether clients can connect: the last thing that a broker makes possible when it starts."""
        assert self._process.poll() is None, f"the broker ended: {self._folder}-process/output"
        return not await self._refuses()

    async def _refuses(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self._ports["amqp"])
        except OSError:
            return True
        writer.close()
        return False

    def signal(self, number: signal.Signals) -> None:
        """Send the signal to all of its processes."""
        os.killpg(self._process.pid, number)

    async def control(self, *arguments: str) -> str:
        """What `rabbitmqctl` prints."""
        command = [*as_user(), str(PROGRAM.with_name("rabbitmqctl")), "-n", node_name(self._ports), *arguments]
        return await asyncio.to_thread(_run, *command, HOME=str(self._folder), ERL_EPMD_PORT=str(self._ports["epmd"]))

    async def end(self) -> None:
        """Stop it."""
        await asyncio.to_thread(stop, self._stopper)


class _InDocker:
    def __init__(self, options: str) -> None:
        self._ports = {5672: free_port(), 15672: free_port()}
        self.url = f"amqp://guest:guest@127.0.0.1:{self._ports[5672]}/"
        published = [text for inside, port in self._ports.items() for text in ("-p", f"127.0.0.1:{port}:{inside}")]
        given = [text for name, value in (_USER | {_OPTIONS: options}).items() for text in ("-e", f"{name}={value}")]
        # A host name of its own, since the broker stores under it.
        created = _docker("create", "--hostname", "mortal", *published, *given, IMAGE)
        self._identity = created.strip()

    async def start(self) -> None:
        await asyncio.to_thread(_docker, "start", self._identity)
        await eventually(lambda: _answers(self._ports[15672]), "the broker")

    async def kill(self) -> None:
        await asyncio.to_thread(_docker, "kill", self._identity)

    async def control(self, *arguments: str) -> str:
        return await asyncio.to_thread(_docker, "exec", self._identity, "rabbitmqctl", *arguments)

    async def end(self) -> None:
        await asyncio.to_thread(_docker, "rm", "-f", "-v", self._identity)


def _docker(*arguments: str) -> str:
    return _run("docker", *arguments)


def _run(*command: str, **environment: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | environment).stdout


async def _answers(port: int) -> bool:
    try:
        async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}/"):
            return True
    except aiohttp.ClientError:
        return False
