"""A RabbitMQ cluster of three of Debian's servers on this machine, each of which a test may kill."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support.debian_rabbitmq import as_user, node_name
from tests.support.mortal import DebianBroker, debian_ports
from tests.support.servers import RUN, Addresses, free_port, launch, stop

_SIZE = 3
_COOKIE = "image-backend-tests"  # nodes with the same one are let into a cluster
_COLUMNS = ("name", "exclusive", "leader", "members", "messages", "consumers")


class BrokerCluster:
    """`nodes` are its brokers by Erlang's names of them; `addresses` are those of the nodes, in the same order."""

    def __init__(self, ports: list[dict[str, int]]) -> None:
        settings = "cluster_partition_handling = pause_minority\n" + "".join(
            f"cluster_formation.classic_config.nodes.{number} = {node_name(each)}\n"
            for number, each in enumerate(ports, 1)
        )
        self.nodes = {node_name(each): DebianBroker(each, f"-setcookie {_COOKIE}", settings) for each in ports}
        self.addresses: list[Addresses] = [
            {"amqp": f"127.0.0.1:{each['amqp']}", "management": f"http://127.0.0.1:{each['management']}"}
            for each in ports
        ]

    async def queues(self) -> dict[str, dict[str, Any]]:
        """Leader, members, messages and consumers of each queue, as the first node knows them now.

        The management API is not asked: it knows only what the nodes told one another some seconds ago. Queues of one
        connection are left out: they are not replicated.
        """
        node = next(iter(self.nodes.values()))
        options = ("--erlang-cookie", _COOKIE, "--silent", "--formatter", "json")
        found = json.loads(await node.control(*options, "list_queues", *_COLUMNS))
        return {queue["name"]: queue for queue in found if not queue["exclusive"]}


@asynccontextmanager
async def broker_cluster() -> AsyncIterator[BrokerCluster]:
    """A cluster whose nodes all run, and know each other."""
    epmd = free_port()
    cluster = BrokerCluster([debian_ports() | {"epmd": epmd} for _ in range(_SIZE)])
    async with AsyncExitStack() as stack:
        # Nodes of one machine share the daemon by which they find each other; it outlives each of them.
        command = [*as_user(), "epmd", "-address", "127.0.0.1", "-port", str(epmd)]
        _, stopper = launch(command, Path(os.environ[RUN]) / f"epmd-{epmd}", {})
        stack.push_async_callback(asyncio.to_thread, stop, stopper)
        for node in cluster.nodes.values():
            stack.push_async_callback(node.end)
        await asyncio.gather(*(node.start() for node in cluster.nodes.values()))
        yield cluster
