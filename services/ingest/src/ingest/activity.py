"""What the machine is doing, for the page: how many renderings wait, how busy decoders are, how many photos pass."""

import asyncio
import time
from collections import deque

from prometheus_client import Gauge

from common import metrics
from common.errors import BusFault
from common.http.api.models import ActivityAnswer
from common.images.records import Stage
from common.messaging.bus import Bus
from common.messaging.events import Event, ThumbnailsReady
from common.messaging.topology import RESIZER_BULK, RESIZER_FOLLOW_UP, RESIZER_LIVE

_SPAN = 10.0  # seconds over which photos are counted
_MOST_COUNTED = 10_000  # photos in this time
_KEPT = 1.0  # seconds for which an answer is given again, however many ask
_RENDERING = ("live", "background")  # the resizer's pools of decoders


class Activity:
    """Counts photos that are rendered, by their events, and asks the bus how many renderings wait."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._rendered: deque[float] = deque(maxlen=_MOST_COUNTED)
        self._lock = asyncio.Lock()
        self._told: ActivityAnswer | None = None
        self._told_at = 0.0

    def on_event(self, event: Event) -> None:
        """Count the photo whose base variants are ready."""
        if isinstance(event, ThumbnailsReady) and event.data.stage is Stage.BASE:
            self._rendered.append(time.monotonic())

    async def __call__(self) -> ActivityAnswer:
        """The answer, which is at most a second old."""
        async with self._lock:
            if self._told is None or time.monotonic() > self._told_at + _KEPT:
                self._told = await self._look()
                self._told_at = time.monotonic()
            return self._told

    async def _look(self) -> ActivityAnswer:
        since = time.monotonic() - _SPAN
        decoders = _sum(metrics.IMAGING_WORKERS)
        return ActivityAnswer(
            renderings_waiting=await self._waiting(),
            decoders_busy=_sum(metrics.IMAGING_BUSY) if decoders else None,
            decoders=decoders or None,
            photos_per_second=sum(at > since for at in self._rendered) / _SPAN,
        )

    async def _waiting(self) -> int | None:
        try:
            return sum([await self._bus.depth(queue) for queue in (RESIZER_LIVE, RESIZER_FOLLOW_UP, RESIZER_BULK)])
        except BusFault:
            return None


def _sum(gauge: Gauge) -> int:
    """Of all pools that render in this process."""
    samples = (sample for metric in gauge.collect() for sample in metric.samples)
    return round(sum(sample.value for sample in samples if sample.labels["pool"] in _RENDERING))
