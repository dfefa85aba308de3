"""What the log and `trouble` say of a broker that cannot be used: plain words, once, until they change."""

import asyncio
import gc
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
from structlog.testing import capture_logs
from tests.support.bus import wait_for_broker
from tests.support.eventually import eventually
from tests.support.proxy import Proxy
from tests.support.rabbitmq import VirtualHost
from tests.support.servers import free_port

from common.messaging.rabbit import RabbitBus


@asynccontextmanager
async def started(url: str) -> AsyncIterator[RabbitBus]:
    bus = RabbitBus(url, "test")
    bus.start()
    try:
        yield bus
    finally:
        await bus.drain(0)
        await bus.close()


async def _says(bus: RabbitBus, words: str) -> bool:
    return words in (bus.trouble() or "")


async def words(url: str) -> str:
    """What is said of the broker, once it was tried several times."""
    with capture_logs() as lines:
        async with started(url) as bus:
            await eventually(partial(_says, bus, "cannot use the broker"), "word of the trouble")
            await asyncio.sleep(3)
            trouble = bus.trouble()
    assert [line["reason"] for line in lines] == [trouble], "it is said once"
    assert trouble is not None
    assert " at 0x" not in trouble
    return trouble


async def test_a_virtual_host_that_does_not_exist_is_named_once(vhost: VirtualHost) -> None:
    said = await words(f"{vhost.url}-missing")
    assert "the virtual host" in said
    assert "-missing' does not exist, or the user of RABBITMQ_URL may not use it" in said


async def test_wrong_credentials_are_a_sentence(vhost: VirtualHost) -> None:
    said = await words(vhost.url.replace("guest:guest", "guest:wrong"))
    assert said.endswith("it refuses the user or the password of RABBITMQ_URL")
    assert "wrong" not in said


async def test_a_broker_without_confirms_is_refused_and_tried_again(vhost: VirtualHost) -> None:
    async with Proxy.to(*vhost.address) as proxy:
        proxy.replace(rb"publisher_confirmst\x01", b"publisher_confirmst\x00")
        assert "it confirms nothing" in await words(vhost.url_through(proxy.port))
        async with started(vhost.url_through(proxy.port)) as bus:
            await eventually(partial(_says, bus, "confirms nothing"), "the refusal")
            proxy.leave()
            await wait_for_broker(bus)


@pytest.mark.parametrize("answer", ["none", "words"])
def test_a_broker_that_is_down_leaves_nothing_behind(answer: str) -> None:
    """Garbage is collected in whatever thread comes to it: a finalizer there has no loop, and warns in the log."""

    async def try_for_a_while() -> None:
        async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        port = free_port()
        if answer == "words":
            server = await asyncio.start_server(greet, "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
        async with started(f"amqp://guest:guest@127.0.0.1:{port}/") as bus:
            await eventually(partial(_says, bus, "cannot use the broker"), "word of the trouble")
            await asyncio.sleep(1)
            await asyncio.to_thread(gc.collect)

    gc.disable()
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            asyncio.run(try_for_a_while())
    finally:
        gc.enable()
    assert [str(warning.message) for warning in caught if issubclass(warning.category, RuntimeWarning)] == []
