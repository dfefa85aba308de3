"""What can go wrong in a deployment, and how it is mended after a while."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support import small_disk
from tests.support.deployment import Deployment
from tests.support.mortal import DebianBroker
from tests.support.proxy import Proxy

_SLOW = 0.3  # seconds that each piece of up to 64 KB is kept back, either way


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong, and how it is mended after a while."""

    name: str
    begin: Callable[[], Awaitable[None]]
    end: Callable[[], Awaitable[None]]


def of_network(name: str, proxies: Sequence[Proxy]) -> list[Fault]:
    """Faults of the network between the services and a server, of which every node is behind a proxy."""

    async def stall() -> None:
        for proxy in proxies:
            proxy.stall()

    async def slow() -> None:
        for proxy in proxies:
            proxy.slow(_SLOW)

    async def flow() -> None:
        for proxy in proxies:
            proxy.flow()

    async def cut() -> None:
        await asyncio.gather(*(proxy.cut() for proxy in proxies))

    async def restore() -> None:
        await asyncio.gather(*(proxy.restore() for proxy in proxies))

    return [
        Fault(f"{name} silent", stall, flow),
        Fault(f"{name} slow", slow, flow),
        Fault(f"{name} cut off", cut, restore),
    ]


def of_service(name: str, deployment: Deployment) -> list[Fault]:
    """Faults of one of our own processes."""

    async def kill() -> None:
        await deployment.processes[name].kill()

    async def restart() -> None:
        await deployment.launch(name)

    async def suspend() -> None:
        deployment.processes[name].suspend()

    async def resume() -> None:
        deployment.processes[name].resume()

    return [Fault(f"{name} killed", kill, restart), Fault(f"{name} suspended", suspend, resume)]


def of_node(node: DebianBroker) -> list[Fault]:
    """Faults of one node of the broker."""

    async def suspend() -> None:
        node.signal(signal.SIGSTOP)

    async def resume() -> None:
        node.signal(signal.SIGCONT)

    return [Fault("a broker node killed", node.kill, node.start), Fault("a broker node suspended", suspend, resume)]


def of_disk(folder: Path, kilobytes: int) -> Fault:
    """The fault of the disk that is mounted on the folder."""

    async def fill() -> None:
        await asyncio.to_thread(small_disk.leave_no_room, folder)

    async def enlarge() -> None:
        await asyncio.to_thread(small_disk.resize, folder, kilobytes)

    return Fault(f"the disk of {folder.name} full", fill, enlarge)
