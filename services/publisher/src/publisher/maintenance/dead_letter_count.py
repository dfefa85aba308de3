"""How many dead letters each queue has, as a metric. They are those of all services: the bus has them all."""

import asyncio

import structlog

from common import metrics
from common.backoff import jittered
from common.errors import BusFault, StorageFault
from common.messaging.bus import Bus
from common.messaging.topology import QUEUES

log = structlog.get_logger()

_INTERVAL = 15.0  # seconds between two looks, as often as Prometheus usually asks
_AGAIN = 2.0  # seconds until the next look when one has failed


class DeadLetterCount:
    """Looks at the queues again and again; `run` is the background task. A look is one small request for each queue."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def run(self) -> None:
        """Keep the metric up to date until cancelled. While the bus cannot tell, there is no number."""
        while True:
            try:
                await self._look()
            except (BusFault, StorageFault) as fault:
                metrics.DEAD_LETTERS.clear()
                log.debug("dead letters cannot be counted", reason=str(fault))
                await asyncio.sleep(jittered(_AGAIN))
            else:
                await asyncio.sleep(jittered(_INTERVAL))

    async def _look(self) -> None:
        for queue in QUEUES:
            metrics.DEAD_LETTERS.labels(queue.name).set(await self._bus.dead_letter_count(queue))
