"""Settling what the buckets owe when the event that would have done it was lost.

By itself it looks at *incoming* alone, at images of some age, and only while the live queue is empty. A listing only
says where to look: what is done is decided by a fresh look at the buckets, first of all for a tombstone. It leaves
records of another configuration alone, and old images that have thumbnails and no record: half a million of them would
be one storm. Nothing here grows with the site: neither what is held in memory, nor what waits in a queue.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

import structlog

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
    any_key,
    finish_deletion,
    finish_move,
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
    """Looks every `interval` seconds for images older than `after` seconds to which something is owed.

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
        self._settle_all = repair_all_at_start
        self._asked: dict[tuple[str, Stage], float] = {}
        self._follow_up_waits = False

    async def run(self) -> None:
        """Settle for ever; with `settle_all`, first everything at once, however young, in both buckets."""
        owed = self._settle_all
        while True:
            if owed:
                owed = not await self.repair_everything()
            await asyncio.sleep(self._interval)
            await self.repair_incoming()

    async def repair_everything(self) -> bool:
        """Whatever both buckets owe. For a process that has them to itself. Returns whether all of it was settled."""
        self._follow_up_waits = False
        incoming = list_images(self._buckets.incoming.entries(), self._temporary)
        active = list_images(self._buckets.active.entries(), self._temporary)
        deleted = tombstones.unverified(self._buckets, marked=False)
        settled = True
        for listed, settle in (
            (incoming, self._settle),
            (active, self._settle_active),
            (deleted, self._settle_deleted),
        ):
            try:
                async with aclosing(listed) as images:
                    async for found in images:
                        await self._room()
                        settled &= await _guarded(settle, found)
            except Transient as fault:
                log.warning("what a bucket owes cannot be looked at now", reason=str(fault))
                settled = False
        return settled

    async def repair_incoming(self) -> None:
        """What *incoming* owes, if the resizers have nothing more urgent to do."""
        now = time.monotonic()
        self._asked = {asked: when for asked, when in self._asked.items() if now - when < self._after}
        try:
            if await self._bus.depth(RESIZER_LIVE):
                return
            self._follow_up_waits = await self._bus.depth(RESIZER_FOLLOW_UP) > 0
            async with aclosing(list_images(self._buckets.incoming.entries(), self._temporary)) as images:
                async for found in images:
                    if found.age >= self._after:
                        await _guarded(self._settle, found)
        except Transient as fault:
            log.warning("what the buckets owe cannot be looked at now", reason=str(fault))

    async def _settle(self, found: ListedImage) -> None:
        plan = self._context.plan
        if await is_deleted(any_key(found.name), buckets=self._buckets):
            await finish_deletion(any_key(found.name), found.keys, buckets=self._buckets, plan=plan)
            return
        image = found.original or await find_original(found.name, buckets=self._buckets)
        if image is None:
            await remove_private_orphans(found.name, found.others, buckets=self._buckets, plan=plan)
            return
        with structlog.contextvars.bound_contextvars(image=str(image)):
            if await is_public(image, buckets=self._buckets):
                await finish_move(image, found.others, context=self._context)
            else:
                await self._settle_thumbnails(image, self._buckets.incoming)

    async def _settle_active(self, found: ListedImage) -> None:
        image, plan = found.original, self._context.plan
        if image is None:
            return  # what is left is known to be unwanted only where there is a tombstone, and those are looked at too
        if image.crop in found.others and not await is_deleted(image, buckets=self._buckets):
            stage = await stage_of_other_crop(image, buckets=self._buckets, plan=plan)
            if stage is not None:
                await self._ask(image, stage)
                return
        if all(record_key(image, stage) in found.others for stage in plan.stages):
            return
        untouched = found.age > self._context.ttl
        if untouched and plan.variants(image, Stage.BASE) <= found.others:
            return  # of the old backends, which wrote no records, or of before the modern formats were wanted
        if not await is_deleted(image, buckets=self._buckets):
            await self._settle_thumbnails(image, self._buckets.active)

    async def _settle_deleted(self, found: ListedImage) -> None:
        left = await tombstones.remaining_objects(found, buckets=self._buckets)
        await tombstones.settle(found, left, buckets=self._buckets, plan=self._context.plan, after=GRACE)

    async def _room(self) -> None:
        """Return once few requests wait: whatever is owed, the queues do not fill with it."""
        queues = (RESIZER_LIVE, RESIZER_FOLLOW_UP)
        # A bus says how many wait, and not when fewer do.
        while any([await self._bus.depth(queue) >= _MOST_WAITING for queue in queues]):  # noqa: ASYNC110 - see above
            await asyncio.sleep(_POLL)

    async def _settle_thumbnails(self, image: ImageKey, bucket: Storage) -> None:
        stage = await missing_stage(image, bucket, plan=self._context.plan)
        if stage is not None:
            await self._ask(image, stage)

    async def _ask(self, image: ImageKey, stage: Stage) -> None:
        if stage is Stage.MODERN and self._follow_up_waits:
            return  # of what waits in the follow-up queue, its request may be one
        now = time.monotonic()
        if now - self._asked.get((image.name, stage), -self._after) < self._after:
            return  # asked already: the event waits, or is being tried again
        lane = Lane.LIVE if stage is Stage.BASE else Lane.FOLLOW_UP
        await request_thumbnails(image, stage, lane, bus=self._bus)
        self._asked[image.name, stage] = now
        if len(self._asked) > _REMEMBERED:
            del self._asked[next(iter(self._asked))]  # to ask once more does no harm


async def _guarded(settle: Callable[[ListedImage], Awaitable[None]], found: ListedImage) -> bool:
    """Settle one image; a fault that it meets is no other image's. Returns whether it was settled."""
    try:
        await settle(found)
    except Transient as fault:
        log.warning("what an image is owed cannot be settled now", image=str(found), reason=str(fault))
        return False
    return True
