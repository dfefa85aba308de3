"""The publisher's own sweep. A lock lets one replica sweep at a time; several do no harm."""

import asyncio
from contextlib import AsyncExitStack, aclosing
from pathlib import Path

import structlog

from common import metrics
from common.errors import StorageFull, Transient
from publisher.context import PublisherContext
from publisher.maintenance.lock import Lock
from publisher.maintenance.sweep import Sweep

log = structlog.get_logger()

LOCK = "locks/clean"


class Sweeper:
    """Sweeps at the start, and then every `interval` seconds. `temporary` is a folder for files."""

    def __init__(self, context: PublisherContext, *, interval: float, temporary: Path) -> None:
        self._sweep = Sweep(context, temporary)
        self._lock = Lock(context.buckets.incoming, LOCK, temporary)
        self._interval = interval

    async def run(self) -> None:
        """Sweep for ever."""
        while True:
            try:
                await self._unless_another_sweeps()
            except Transient as fault:
                log.warning("the buckets cannot be swept now", reason=str(fault))
            await asyncio.sleep(self._interval)

    async def _unless_another_sweeps(self) -> None:
        async with AsyncExitStack() as stack:
            try:
                is_our_turn = await stack.enter_async_context(self._lock.hold())
            except StorageFull as fault:
                log.warning("there is no room for the lock of the sweep: sweeping without it", reason=str(fault))
                is_our_turn = True
            if is_our_turn:
                await self._once()

    async def _once(self) -> None:
        swept = True
        async with aclosing(self._sweep.candidates(thorough=False)) as items:
            async for candidate in items:
                try:
                    await self._sweep.process(candidate)
                except Transient as fault:
                    log.warning("an image cannot be swept now", image=str(candidate), reason=str(fault))
                    swept = False
        if swept:
            metrics.MAINTENANCE.labels("sweep").set_to_current_time()
