"""RABBITMQ_URL with the addresses of several nodes: any of them that can be used will do."""

import asyncio
import socket
from contextlib import AsyncExitStack

import pytest
from structlog.testing import capture_logs
from tests.support.bus import opened
from tests.support.eventually import eventually
from tests.support.handling import Handling, subscription, uploaded
from tests.support.proxy import Proxy
from tests.support.rabbitmq import VirtualHost
from tests.support.servers import free_port

from common.errors import BusFault
from common.messaging.rabbit import BrokerTimeouts, RabbitBus
from common.messaging.topology import RESIZER_LIVE


def joined(*urls: str) -> str:
    return ", ".join(urls)


@pytest.mark.parametrize("order", ["first", "last"])
async def test_a_node_that_is_down_is_passed_over(vhost: VirtualHost, order: str) -> None:
    down = vhost.url_through(free_port())
    for _ in range(4):  # each connection begins with one of them, at random
        urls = (down, vhost.url) if order == "first" else (vhost.url, down)
        async with opened(joined(*urls)) as bus:
            await bus.publish(uploaded())
    async with opened(vhost.url) as bus:
        assert await bus.depth(RESIZER_LIVE) == 4


async def test_a_node_that_says_nothing_is_passed_over(vhost: VirtualHost) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:  # the system accepts connections for it
        for _ in range(3):
            url = joined(vhost.url_through(listening.getsockname()[1]), vhost.url)
            async with opened(url, timeouts=BrokerTimeouts(connect=600, reach=2)) as bus:
                await bus.publish(uploaded())


async def test_a_node_that_refuses_the_user_is_passed_over(vhost: VirtualHost) -> None:
    refusing = vhost.url.replace("guest:guest", "guest:hidden")
    with capture_logs() as lines:
        passed: set[str] = set()
        for _ in range(60):  # each connection begins with one of them, at random
            async with opened(joined(refusing, vhost.url)):
                passed = {line["reason"] for line in lines if line["event"] == "passed over nodes of the broker"}
            if passed:
                break
    assert len(passed) == 1
    assert "it refuses the user or the password of RABBITMQ_URL" in passed.pop()
    assert "hidden" not in str(lines)


async def test_when_no_node_can_be_used_each_is_named_without_its_password() -> None:
    ports = free_port(), free_port()
    url = joined(*(f"amqp://somebody:hid,den@127.0.0.1:{port}/site" for port in ports))
    with capture_logs() as lines:
        bus = RabbitBus(url, "test")
        bus.start()

        async def told() -> bool:
            return "cannot use" in (bus.trouble() or "")

        await eventually(told, "word of the trouble")
        await asyncio.sleep(2)
        trouble = bus.trouble() or ""
        await bus.close()
    assert [line["reason"] for line in lines] == [trouble], "it is said once"
    assert all(f"127.0.0.1:{port}/site" in trouble for port in ports)
    assert "hid" not in trouble
    assert "somebody" not in trouble


async def test_a_service_goes_on_at_another_node_when_it_loses_its_own(vhost: VirtualHost) -> None:
    handling = Handling()
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(Proxy.to(*vhost.address)) for _ in range(3)]
        url = joined(*(vhost.url_through(node.port) for node in nodes))
        bus = await stack.enter_async_context(opened(url))
        await bus.consume([subscription(handling)])
        for count, node in enumerate(nodes[:2], 1):
            await node.cut()

            async def published(number: int = count) -> bool:
                try:
                    await bus.publish(uploaded(number))
                except BusFault:
                    return False
                return True

            await eventually(published, "a connection to another node")
            await eventually(lambda count=count: handling.count(count), "an event over another node")  # type: ignore[misc]
        await nodes[2].cut()
        await nodes[0].restore()
        await eventually(published, "a connection to the first node, which is back")


async def test_when_a_node_is_lost_the_others_are_tried_first(vhost: VirtualHost) -> None:
    """It may take connections, and be good for nothing else."""
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(Proxy.to(*vhost.address)) for _ in range(2)]
        url = joined(*(vhost.url_through(node.port) for node in nodes))
        with capture_logs() as lines:
            bus = await stack.enter_async_context(opened(url))

            def used() -> list[str]:
                return [str(line["broker"]) for line in lines if line["event"] == "connected to the broker"]

            for number in (2, 3, 4):
                (node,) = [node for node in nodes if f":{node.port}/" in used()[-1]]
                await node.cut()
                await node.restore()

                async def again(count: int = number) -> bool:
                    return len(used()) >= count and bus.trouble() is None

                await eventually(again, "a connection to the other node")
    assert len(set(used()[:2])) == 2
    assert used()[:2] == used()[2:4], "in turn"
