"""Doing the pending work whose event was lost (docs/bucket-protocol.md#no-storms).

The reconciler looks only at *incoming*, at images of some age, and only while the live queue is empty. What it does is
decided by a fresh look at the buckets, at the tombstone first (docs/bucket-protocol.md#decide-by-a-fresh-look). Neither
its memory nor the queues grow with the site.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

import structlog

from common import metrics
from common.errors import Transient
from common.images.names import ImageKey
from common.images.records import Stage, record_key
from common.messaging.events import Lane
from common.messaging.topology import RESIZER_FOLLOW_UP, RESIZER_LIVE
from common.storage.base import Storage
from common.storage.image_store import find_original, is_deleted, is_public
from publisher.context import PublisherContext
from publisher.maintenance import tombstones
from publisher.maintenance.listing import ListedImage, list_images
from publisher.maintenance.repairs import (
    finish_deletion,
    finish_move,
    key_of_any_format,
    missing_stage,
    remove_private_orphans,
    request_thumbnails,
    stage_of_other_crop,
)
from publisher.maintenance.sweep import GRACE

log = structlog.get_logger()

_MOST_WAITING = 1_000  # requests in a queue, before a look at everything adds to them
_REMEMBERED = 10_000  # requests
_POLL = 0.5  # seconds between looks at the queue


class Reconciler:
    """Looks every `interval` seconds for images older than `after` seconds that have pending work.

    With `repair_all_at_start` it first repairs everything in both buckets, of any age.
    `temporary` is the folder for the list of a large bucket.
    """

    def __init__(
        self, context: PublisherContext, *, after: float, interval: float, repair_all_at_start: bool, temporary: Path
    ) -> None:
        self._temporary = temporary
        self._context = context
        self._buckets = context.buckets
        self._bus = context.bus
        self._after = after
        self._interval = interval
        self._repair_all_at_start = repair_all_at_start
        self._requested: dict[tuple[str, Stage], float] = {}
        self._follow_up_waits = False

    async def run(self) -> None:
        """Repair for ever."""
        everything = self._repair_all_at_start
        while True:
            if everything:
                everything = not await self.repair_everything()
            await asyncio.sleep(self._interval)
            await self.repair_incoming()

    async def repair_everything(self) -> bool:
        """Do all pending work in both buckets; no other process may use them. Returns whether all of it is done."""
        self._follow_up_waits = False
        incoming = list_images(self._buckets.incoming.entries(), self._temporary)
        active = list_images(self._buckets.active.entries(), self._temporary)
        deleted = tombstones.unverified(self._buckets, verified_too=False)
        repaired = True
        for listed, repair in (
            (incoming, self._repair_in_incoming),
            (active, self._repair_in_active),
            (deleted, self._repair_deleted),
        ):
            try:
                async with aclosing(listed) as images:
                    async for found in images:
                        await self._wait_for_room()
                        repaired &= await _try_repair(repair, found)
            except Transient as fault:
                log.warning("a bucket cannot be repaired now", reason=str(fault))
                repaired = False
        if repaired:
            metrics.MAINTENANCE.labels("reconcile").set_to_current_time()
        return repaired

    async def repair_incoming(self) -> None:
        """Do the pending work in *incoming*, while the live queue is empty."""
        now = time.monotonic()
        self._requested = {request: when for request, when in self._requested.items() if now - when < self._after}
        try:
            if await self._bus.depth(RESIZER_LIVE):
                return
            self._follow_up_waits = await self._bus.depth(RESIZER_FOLLOW_UP) > 0
            repaired = True
            async with aclosing(list_images(self._buckets.incoming.entries(), self._temporary)) as images:
                async for found in images:
                    if found.age >= self._after:
                        repaired &= await _try_repair(self._repair_in_incoming, found)
            if repaired:
                metrics.MAINTENANCE.labels("reconcile").set_to_current_time()
        except Transient as fault:
            log.warning("incoming cannot be repaired now", reason=str(fault))

    async def _repair_in_incoming(self, found: ListedImage) -> None:
        plan = self._context.plan
        if await is_deleted(key_of_any_format(found.name), buckets=self._buckets):
            await finish_deletion(key_of_any_format(found.name), found.keys, buckets=self._buckets, plan=plan)
            return
        image = found.original or await find_original(found.name, buckets=self._buckets)
        if image is None:
            await remove_private_orphans(found.name, found.others, buckets=self._buckets, plan=plan)
            return
        with structlog.contextvars.bound_contextvars(image=str(image)):
            if await is_public(image, buckets=self._buckets):
                await finish_move(image, found.others, context=self._context)
            else:
                await self._request_missing_stage(image, self._buckets.incoming)

    async def _repair_in_active(self, found: ListedImage) -> None:
        image, plan = found.original, self._context.plan
        if image is None:
            return  # an orphan is only removed if it has a tombstone, and tombstones are looked at, too
        if image.crop_key in found.others and not await is_deleted(image, buckets=self._buckets):
            stage = await stage_of_other_crop(image, buckets=self._buckets, plan=plan)
            if stage is not None:
                await self._request(image, stage)
                return
        if all(record_key(image, stage) in found.others for stage in plan.stages):
            return
        untouched = found.age > self._context.ttl
        if untouched and plan.variant_keys(image, Stage.BASE) <= found.others:
            return  # rendered by an old backend, which wrote no records, or before the modern formats were wanted
        if not await is_deleted(image, buckets=self._buckets):
            await self._request_missing_stage(image, self._buckets.active)

    async def _repair_deleted(self, found: ListedImage) -> None:
        left = await tombstones.remaining_objects(found, buckets=self._buckets)
        await tombstones.finish(found, left, buckets=self._buckets, plan=self._context.plan, after=GRACE)

    async def _wait_for_room(self) -> None:
        """Return once few requests wait, so that a queue never holds more than some of the pending work."""
        queues = (RESIZER_LIVE, RESIZER_FOLLOW_UP)
        # A bus tells how many wait. It does not tell when that changes.
        while any([await self._bus.depth(queue) >= _MOST_WAITING for queue in queues]):  # noqa: ASYNC110 - see above
            await asyncio.sleep(_POLL)

    async def _request_missing_stage(self, image: ImageKey, bucket: Storage) -> None:
        stage = await missing_stage(image, bucket, plan=self._context.plan)
        if stage is not None:
            await self._request(image, stage)

    async def _request(self, image: ImageKey, stage: Stage) -> None:
        if stage is Stage.MODERN and self._follow_up_waits:
            return  # its request may be among those that wait in the follow-up queue
        now = time.monotonic()
        if now - self._requested.get((image.name, stage), -self._after) < self._after:
            return  # requested already: the event waits, or is retried
        lane = Lane.LIVE if stage is Stage.BASE else Lane.FOLLOW_UP
        await request_thumbnails(image, stage, lane, bus=self._bus)
        self._requested[image.name, stage] = now
        if len(self._requested) > _REMEMBERED:
            del self._requested[next(iter(self._requested))]  # a second request does no harm


async def _try_repair(repair: Callable[[ListedImage], Awaitable[None]], found: ListedImage) -> bool:
    """Repair one image; a fault is logged and stops no other image's repair. Returns whether it was repaired."""
    try:
        await repair(found)
    except Transient as fault:
        log.warning("an image cannot be repaired now", image=str(found), reason=str(fault))
        return False
    return True
