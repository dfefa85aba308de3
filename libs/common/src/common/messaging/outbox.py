"""Events that wait in memory until the broker takes them. What they tell of is already in the buckets.

The caller waits for at most a second, and does not fail when the broker is away. An event that was not confirmed by
then is sent again, under the same id, until it is. A crash loses it; the reconciler then does the pending work
(docs/bucket-protocol.md#store-before-publish).
"""

import asyncio
from collections import defaultdict
from contextlib import suppress

import structlog

from common import metrics
from common.backoff import jittered
from common.errors import BusFault
from common.messaging.bus import Bus
from common.messaging.events import Event
from common.messaging.topology import routing_key

log = structlog.get_logger()

CONFIRM_SECONDS = 1.0  # a broker that blocks publishers never refuses
_INTERVAL = 1.0  # seconds between attempts to send what waits
_MOST = 100_000  # events of about 1 KB; beyond it the reconciler has to find them


class Outbox:
    """Sends events now or later. `run` is the background task that sends them later."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._waiting: defaultdict[str, dict[str, Event]] = defaultdict(dict)  # by routing key, then by identifier

    async def send(self, event: Event) -> None:
        """Publish the event, or keep it to be published later; returns within about a second."""
        try:
            async with asyncio.timeout(CONFIRM_SECONDS):
                await self._bus.publish(event)
        except (BusFault, TimeoutError) as error:
            reason = str(error) or "the broker did not confirm in time"
            if self._count() >= _MOST:
                log.error("event dropped: too many wait for the broker already", reason=reason, **_about(event))
                return
            log.warning("event waits for the broker", reason=reason, **_about(event))
            self._waiting[routing_key(event)][event.id] = event
            metrics.OUTBOX.inc()

    def is_behind(self) -> bool:
        """Whether events wait for the broker."""
        return self._count() > 0

    def _count(self) -> int:
        return sum(map(len, self._waiting.values()))

    async def run(self) -> None:
        """Send what waits, again and again, until cancelled; then try once more."""
        try:
            while True:
                await asyncio.sleep(jittered(_INTERVAL))
                await self.flush()
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(CONFIRM_SECONDS):
                    await self.flush()

    async def flush(self) -> None:
        """Send what waits, oldest first.

        After a fault, what has the same routing key goes on waiting: its queue may be full. The rest is tried.
        """
        for events in list(self._waiting.values()):
            await self._flush_until_fault(events)

    async def _flush_until_fault(self, events: dict[str, Event]) -> None:
        for event in list(events.values()):
            try:
                await self._bus.publish(event)
            except BusFault:
                return
            log.info("event sent late", **_about(event))
            del events[event.id]
            metrics.OUTBOX.dec()


def _about(event: Event) -> dict[str, str]:
    return {"type": event.type, "image": str(event.subject), "event_id": event.id}
