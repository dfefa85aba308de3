"""Faults, one after another, in an order that the seed decides: servers that fall silent, are cut off, or die."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.support.deployment import Deployment
from tests.support.proxy import Proxy

_PERIOD = 30.0  # seconds from the beginning of one fault to that of the next
_LONGEST = 25.0  # seconds of one fault, at most
_SHORTEST = 3.0


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong, and how it is mended after a while."""

    name: str
    begin: Callable[[], Awaitable[None]]
    end: Callable[[], Awaitable[None]]


class Chaos:
    """Injects faults into a deployment whose servers are reached through proxies."""

    def __init__(self, deployment: Deployment, proxies: dict[str, Proxy], seed: int) -> None:
        self.injected: Counter[str] = Counter()
        self.seconds: Counter[str] = Counter()
        self._random = random.Random(seed)
        self._faults = [fault for name, proxy in proxies.items() for fault in _of_network(name, proxy)]
        self._faults += [fault for name in deployment.services for fault in _of_process(name, deployment)]

    async def run(self, stop: asyncio.Event) -> None:
        """A fault every half a minute, until told to stop; the last one is mended first."""
        while not stop.is_set():
            fault, length = self._random.choice(self._faults), self._random.uniform(_SHORTEST, _LONGEST)
            await fault.begin()
            try:
                await asyncio.sleep(length)
            finally:
                await fault.end()
            self.injected[fault.name] += 1
            self.seconds[fault.name] += round(length)
            await asyncio.sleep(_PERIOD - length)


def _of_network(name: str, proxy: Proxy) -> list[Fault]:
    async def stall() -> None:
        proxy.stall()

    async def flow() -> None:
        proxy.flow()

    return [
        Fault(f"{name} silent", stall, flow),
        Fault(f"{name} cut off", proxy.cut, proxy.restore),
    ]


def _of_process(name: str, deployment: Deployment) -> list[Fault]:
    async def kill() -> None:
        await deployment.processes[name].kill()

    async def restart() -> None:
        await deployment.launch(name)

    async def suspend() -> None:
        deployment.processes[name].suspend()

    async def resume() -> None:
        deployment.processes[name].resume()

    return [Fault(f"{name} killed", kill, restart), Fault(f"{name} suspended", suspend, resume)]
