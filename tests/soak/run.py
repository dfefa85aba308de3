"""One run over one store: calls and faults, quiet, and the account."""

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
from tests.soak import faults
from tests.soak.account import Account
from tests.soak.audit import Audit, audit_contents, audit_keys
from tests.soak.chaos import Chaos
from tests.soak.clients import Clients
from tests.soak.faults import Fault
from tests.soak.summary import Outcome
from tests.support import small_disk
from tests.support.broker_cluster import BrokerCluster, broker_cluster
from tests.support.deployment import PYTHON, Deployment
from tests.support.proxy import Proxy
from yarl import URL

from common.images.formats import Format, Output
from common.images.plan import Plan
from common.images.sizes import parse_sizes
from common.messaging.topology import QUEUES

_CLIENTS = 8
# Seconds in which the buckets have to become what was answered, and queues empty.
_QUIET = 120
# Clients upload no more while so many renderings wait: what is tried is not for how long a backlog is worked off.
_BACKLOG = 200
_SETTINGS = {
    "GENERATE_WEBP": "1",
    # Maintenance as often as the run is short.
    "RECONCILE_AFTER": "30",
    "RECONCILE_INTERVAL": "10",
    "CLEAN_INTERVAL": "60",
}
_PLAN = Plan(parse_sizes(None), (Output(format=Format.WEBP),))
# Kilobytes of the disks that are filled. They take memory for what they hold.
_DISKS = {
    "local": {"temp": 256 * 1024, "incoming": 4 * 1024 * 1024, "active": 4 * 1024 * 1024},
    "s3": {"temp": 256 * 1024},
}
_OLD = 2 * 3600  # seconds; services remove temporary files that are an hour old


async def soak(minutes: float, seed: int, store: str, folder: Path) -> Outcome:
    """Run it, and tell what was found. Raises PermissionError where no disk can be mounted."""
    account = Account()
    async with AsyncExitStack() as stack:
        disks = [stack.enter_context(_disk(folder / name, size)) for name, size in _DISKS[store].items()]
        cluster = await stack.enter_async_context(broker_cluster())
        deployment = await stack.enter_async_context(
            Deployment.prepared(f"rabbit-{store}", folder, cluster.addresses, **_SETTINGS)
        )
        deployment.python = PYTHON
        networks = await _proxied(deployment, stack)
        await deployment.start()
        chaos = Chaos([*disks, *networks, *_of_processes(deployment, cluster)], seed)
        clients = Clients(deployment, account, seed + 1)
        await _load(clients, chaos, deployment, minutes)
        await asyncio.gather(*(deployment.wait_ready(process) for process in deployment.processes.values()))
        await clients.finish()
        last = time.monotonic()
        found = await _equal(account, deployment, last + _QUIET)
        equal = time.monotonic() - last
        queues = await _emptied(deployment, last + _QUIET)
        empty = time.monotonic() - last
        if not found.differences:
            found.differences += await audit_contents(account, deployment.buckets, _PLAN)
        unconsumed = await _unconsumed(deployment)
        removed, kept = await _age_temporary_files(deployment)
    return Outcome(account, chaos, found, equal, empty, queues, unconsumed, removed, kept)


@contextmanager
def _disk(folder: Path, kilobytes: int) -> Iterator[Fault]:
    """A disk for the folder, while in the context, and its fault."""
    small_disk.mount(folder, kilobytes)
    try:
        yield faults.of_disk(folder, kilobytes)
    finally:
        small_disk.unmount(folder)


async def _proxied(deployment: Deployment, stack: AsyncExitStack) -> list[Fault]:
    """Put proxies between the services and their servers. Returns the faults of these."""
    assert deployment.vhost is not None
    nodes = [await stack.enter_async_context(Proxy.to(*address)) for address in deployment.vhost.addresses]
    deployment.environment["RABBITMQ_URL"] = deployment.vhost.url_through(*(node.port for node in nodes))
    found = faults.of_network("the broker", nodes)
    if deployment.s3 is not None:
        endpoint = URL(deployment.s3.endpoint)
        assert endpoint.host is not None
        assert endpoint.port is not None
        store = await stack.enter_async_context(Proxy.to(endpoint.host, endpoint.port))
        deployment.environment["STORE_ENDPOINT"] = f"http://127.0.0.1:{store.port}"
        found += faults.of_network("the store", [store])
    return found


def _of_processes(deployment: Deployment, cluster: BrokerCluster) -> list[Fault]:
    of_services = [fault for name in deployment.services for fault in faults.of_service(name, deployment)]
    return of_services + [fault for node in cluster.nodes.values() for fault in faults.of_node(node)]


async def _load(clients: Clients, chaos: Chaos, deployment: Deployment, minutes: float) -> None:
    """Make calls and inject faults for so long."""
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(minutes * 60, stop.set)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(chaos.run(stop))
        tasks.create_task(_hold_back(clients, deployment, stop))
        for _ in range(_CLIENTS):
            tasks.create_task(clients.work(stop))


async def _hold_back(clients: Clients, deployment: Deployment, stop: asyncio.Event) -> None:
    """Let clients upload as fast as images are rendered."""
    while not stop.is_set():
        with suppress(aiohttp.ClientError):  # a node that was killed does not say how long its queues are
            waiting = sum(int(queue.get("messages", 0)) for queue in (await _queues(deployment)).values())
            if waiting < _BACKLOG:
                clients.may_upload.set()
            else:
                clients.may_upload.clear()
        await asyncio.sleep(2)
    clients.may_upload.set()


async def _equal(account: Account, deployment: Deployment, deadline: float) -> Audit:
    """The last comparison: the first without a difference, or the one at the deadline."""
    while True:
        found = await audit_keys(account, deployment.buckets, _PLAN)
        if not found.differences or time.monotonic() > deadline:
            return found
        await asyncio.sleep(2)


async def _emptied(deployment: Deployment, deadline: float) -> dict[str, int]:
    """How many messages are left in each queue: none, or those at the deadline. Those of an outage wait longest."""
    while True:
        queues = {name: int(queue.get("messages", 0)) for name, queue in (await _queues(deployment)).items()}
        left = {name: count for name, count in queues.items() if count}
        if not left or time.monotonic() > deadline:
            return left
        await asyncio.sleep(2)


async def _unconsumed(deployment: Deployment) -> list[str]:
    """The queues of services that nobody takes messages from."""
    found = await _queues(deployment)
    return [queue.name for queue in QUEUES if not found[queue.name].get("consumers")]


async def _queues(deployment: Deployment) -> dict[str, dict[str, Any]]:
    assert deployment.vhost is not None
    return await deployment.vhost.queues()


async def _age_temporary_files(deployment: Deployment) -> tuple[int, int]:
    """How many files in TEMP_FOLDER the services remove when they start and these are old, and how many they keep."""
    for process in deployment.processes.values():
        await process.terminate()
    folder = deployment.folder / "temp"
    left = list(folder.iterdir())
    for path in left:
        os.utime(path, (time.time() - _OLD,) * 2)
    await deployment.start()
    await deployment.end()
    kept = sum(path.exists() for path in left)
    return len(left) - kept, kept
