"""A bus over the real broker, connected."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.eventually import eventually

from common.messaging.rabbit import BrokerTimeouts, RabbitBus
from common.messaging.topology import RETRY_DELAYS


async def wait_for_broker(bus: RabbitBus) -> None:
    """Wait until the bus has all of its connections."""

    async def is_connected() -> bool:
        return bus.trouble() is None

    await eventually(is_connected, "a connection to the broker")


@asynccontextmanager
async def opened(
    url: str, retry_delays: tuple[float, ...] = RETRY_DELAYS, timeouts: BrokerTimeouts | None = None
) -> AsyncIterator[RabbitBus]:
    """A connected bus; it is drained and closed afterwards."""
    bus = RabbitBus(url, "test", retry_delays, timeouts or BrokerTimeouts())
    bus.start()
    await wait_for_broker(bus)
    try:
        yield bus
    finally:
        await bus.drain(0.1)
        await bus.close()
