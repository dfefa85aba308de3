"""Three nodes of RabbitMQ, which are killed under a load of uploads."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.support.broker_cluster import broker_cluster
from tests.support.deployment import Deployment, complete
from tests.support.eventually import eventually
from tests.support.pictures import photo

from common.messaging.topology import QUEUES, RESIZER_LIVE

PHOTO = photo(160, 120)
_PAUSE = 0.2  # seconds between two uploads
_SECONDS = 180  # a node takes long to start on a machine that is busy


@asynccontextmanager
async def uploading(deployment: Deployment) -> AsyncIterator[list[str]]:
    """Upload one photo after another meanwhile. All have to be answered 200; their names are in the list."""
    names: list[str] = []

    async def upload() -> None:
        while True:
            names.append(await deployment.uploaded(PHOTO))
            await asyncio.sleep(_PAUSE)

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(upload())
        yield names
        task.cancel()


async def next_is_rendered(deployment: Deployment, names: list[str]) -> None:
    """Wait until an upload of after now has its thumbnails."""
    count = len(names)

    async def rendered() -> bool:
        return len(names) > count and await deployment.buckets.incoming.stat(f"{names[count][:-4]}.json") is not None

    await eventually(rendered, "thumbnails of the next upload", _SECONDS)


async def metric(deployment: Deployment, service: str, name: str) -> float:
    port = deployment.processes[service].metrics_port
    async with deployment.http.get(f"http://127.0.0.1:{port}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return float(next(line for line in lines if line.startswith(f"{name} ")).split()[1])


@pytest.mark.timeout(600)  # six starts of a RabbitMQ, on a machine that may be busy
@pytest.mark.xdist_group("broker-cluster")
async def test_a_cluster_that_loses_its_leader_and_then_its_majority_loses_nothing(tmp_path: Path) -> None:
    async with (
        broker_cluster() as cluster,
        Deployment.prepared("rabbit-local", tmp_path, cluster.addresses) as deployment,
    ):
        await deployment.start()
        queues = await cluster.queues()
        assert {len(queue["members"]) for queue in queues.values()} == {len(cluster.nodes)}
        leader = cluster.nodes[queues[RESIZER_LIVE.name]["leader"]]
        others = [node for node in cluster.nodes.values() if node is not leader]
        async with uploading(deployment) as names:
            await next_is_rendered(deployment, names)
            await leader.kill()
            await next_is_rendered(deployment, names)
            await leader.start()
            await others[0].kill()
            await next_is_rendered(deployment, names)
            await others[1].kill()

            async def waiting() -> bool:
                return await metric(deployment, "ingest", "image_backend_outbox_events") > 0

            await eventually(waiting, "an upload whose event waits for a majority")
            await asyncio.gather(*(node.start() for node in others))
            await next_is_rendered(deployment, names)
        for name in names:
            assert (await deployment.publish(name))[0] == 200
        for name in names:
            await eventually(lambda name=name: complete(deployment, name), name, _SECONDS)  # type: ignore[misc]

        async def at_rest() -> bool:
            try:
                found = await cluster.queues()
            except subprocess.CalledProcessError:  # the first node is not back yet
                return False
            consumed = all(found[queue.name]["consumers"] for queue in QUEUES)
            return consumed and not any(queue["messages"] for queue in found.values())

        await eventually(at_rest, "consumers of every queue, and nothing left in any", _SECONDS)
