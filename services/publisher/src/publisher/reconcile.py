"""Settling what the buckets owe when the event that would have done it was lost.

By itself it looks at *incoming* alone, at images of some age, and only while the live queue is empty. A listing only
says where to look: what is done is decided by a fresh look at the buckets. It leaves records of another configuration
alone, and old images that have thumbnails and no record: half a million of them would be one storm.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog

from common.errors import Transient
from common.events import Lane
from common.images.names import ImageKey
from common.images.records import Stage, record_key
from common.storage import Storage
from common.topology import RESIZER_FOLLOW_UP, RESIZER_LIVE
from publisher.activation import Activation, is_deleted
from publisher.debts import (
    any_of,
    finish_deletion,
    finish_move,
    original_of,
    remains,
    remove_leftovers,
    request_thumbnails,
    stage_owed,
)
from publisher.survey import Found, survey

log = structlog.get_logger()


class Reconciler:
    """Looks every `interval` seconds for images older than `after` seconds to which something is owed."""

    def __init__(self, activation: Activation, *, after: float, interval: float, settle_all: bool) -> None:
        self._activation = activation
        self._buckets = activation.buckets
        self._bus = activation.bus
        self._after = after
        self._interval = interval
        self._settle_all = settle_all
        self._asked: dict[tuple[str, Stage], float] = {}
        self._follow_up_waits = False

    async def run(self) -> None:
        """Settle for ever; with `settle_all`, first everything at once, however young, in both buckets."""
        owed = self._settle_all
        while True:
            if owed:
                owed = not await self.settle_everything()
            await asyncio.sleep(self._interval)
            await self.settle_incoming()

    async def settle_everything(self) -> bool:
        """Whatever both buckets owe. For a process that has them to itself. Returns whether all of it was settled."""
        settled, self._follow_up_waits = True, False
        for bucket, settle in ((self._buckets.incoming, self._settle), (self._buckets.active, self._settle_active)):
            try:
                images = await survey(bucket.entries())
            except Transient as fault:
                log.warning("what a bucket owes cannot be looked at now", reason=str(fault))
                settled = False
                continue
            for found in images.values():
                settled &= await _guarded(settle, found)
        return settled

    async def settle_incoming(self) -> None:
        """What *incoming* owes, if the resizers have nothing more urgent to do."""
        try:
            if await self._bus.depth(RESIZER_LIVE):
                return
            self._follow_up_waits = await self._bus.depth(RESIZER_FOLLOW_UP) > 0
            images = await survey(self._buckets.incoming.entries())
        except Transient as fault:
            log.warning("what the buckets owe cannot be looked at now", reason=str(fault))
            return
        self._asked = {asked: when for asked, when in self._asked.items() if asked[0] in images}
        for found in images.values():
            if found.age >= self._after:
                await _guarded(self._settle, found)

    async def _settle(self, found: Found) -> None:
        image = found.original or await original_of(found.name, buckets=self._buckets)
        if image is None:
            await remove_leftovers(found.others | remains(found.name, self._activation.plan), buckets=self._buckets)
            return
        with structlog.contextvars.bound_contextvars(image=str(image)):
            if await is_deleted(image, buckets=self._buckets):
                await finish_deletion(image, buckets=self._buckets)
            elif await self._buckets.active.stat(str(image)) is not None:
                await finish_move(image, found.others, activation=self._activation)
            else:
                await self._settle_thumbnails(image, self._buckets.incoming)

    async def _settle_active(self, found: Found) -> None:
        image, plan = found.original, self._activation.plan
        if image is None:
            # Without an original, what is left is only known to be unwanted where a tombstone says so.
            if await is_deleted(any_of(found.name), buckets=self._buckets):
                await finish_deletion(any_of(found.name), buckets=self._buckets)
            return
        if all(record_key(image, stage) in found.others for stage in plan.stages):
            return
        untouched = found.age > self._activation.ttl
        if untouched and plan.variants(image, Stage.BASE) <= found.others:
            return  # of the old backends, which wrote no records, or of before the modern formats were wanted
        await self._settle_thumbnails(image, self._buckets.active)

    async def _settle_thumbnails(self, image: ImageKey, bucket: Storage) -> None:
        stage = await stage_owed(image, bucket, plan=self._activation.plan)
        if stage is None or (stage is Stage.MODERN and self._follow_up_waits):
            return  # of what waits in the follow-up queue, its request may be one
        now = time.monotonic()
        if now - self._asked.get((image.name, stage), -self._after) < self._after:
            return  # asked already: the event waits, or is being tried again
        lane = Lane.LIVE if stage is Stage.BASE else Lane.FOLLOW_UP
        await request_thumbnails(image, stage, lane, bus=self._bus)
        self._asked[image.name, stage] = now


async def _guarded(settle: Callable[[Found], Awaitable[None]], found: Found) -> bool:
    """Settle one image; a fault that it meets is no other image's. Returns whether it was settled."""
    try:
        await settle(found)
    except Transient as fault:
        log.warning("what an image is owed cannot be settled now", image=str(found), reason=str(fault))
        return False
    return True
