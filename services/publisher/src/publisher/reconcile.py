"""Settling what the buckets owe when the event that would have done it was lost.

By itself it looks at *incoming* alone, at images of some age, and only while the live queue is empty. A listing only
says where to look: what is done is decided by a fresh look at the buckets. It leaves records of another configuration
alone, and old images that have thumbnails and no record: half a million of them would be one storm.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from common import metrics
from common.bus import Bus
from common.errors import Transient
from common.events import Lane, RequestData, ThumbnailsRequested
from common.images.names import ORIGINALS, BadName, Format, ImageKey, owner
from common.images.records import Stage, record_key
from common.storage import Storage
from common.stored import read_record
from common.topology import RESIZER_FOLLOW_UP, RESIZER_LIVE
from publisher.activation import (
    Activation,
    cropped_again,
    is_deleted,
    move_original,
    move_thumbnails,
    remove,
    take_back_if_deleted,
)
from publisher.deletion import delete

log = structlog.get_logger()


@dataclass
class _Found:
    """What a listing showed of one image. `age` is that of its youngest object, in seconds."""

    age: float
    original: ImageKey | None = None
    others: set[str] = field(default_factory=set)


class Reconciler:
    """Looks every `interval` seconds for images older than `after` seconds to which something is owed."""

    def __init__(self, activation: Activation, *, bus: Bus, after: float, interval: float, settle_all: bool) -> None:
        self._activation = activation
        self._buckets = activation.buckets
        self._bus = bus
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
                images = await _survey(bucket)
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
            images = await _survey(self._buckets.incoming)
        except Transient as fault:
            log.warning("what the buckets owe cannot be looked at now", reason=str(fault))
            return
        self._asked = {asked: when for asked, when in self._asked.items() if asked[0] in images}
        for found in images.values():
            if found.age >= self._after:
                await _guarded(self._settle, found)

    async def _settle(self, found: _Found) -> None:
        image = found.original or await self._original_of(found)
        if image is None:
            log.info("removed what was left of an image that is gone", keys=sorted(found.others))
            await remove(found.others, buckets=self._buckets)
            _count("leftovers")
            return
        with structlog.contextvars.bound_contextvars(image=str(image)):
            if await is_deleted(image, buckets=self._buckets):
                await delete(image, buckets=self._buckets)
                _count("deletion")
            elif await self._buckets.active.stat(str(image)) is not None:
                log.info("finishing a move to the public bucket")
                await move_original(image, buckets=self._buckets)
                await move_thumbnails(image, activation=self._activation)
                await self._follow(found)
                if (request := await cropped_again(image, activation=self._activation)) is not None:
                    await self._bus.publish(request)
                await take_back_if_deleted(image, activation=self._activation)
                _count("move")
            else:
                await self._settle_thumbnails(image, self._buckets.incoming)

    async def _follow(self, found: _Found) -> None:
        """What still lies in *incoming* is of other settings than today's, or of a stage that was never finished."""
        for key in found.others:
            if await self._buckets.incoming.stat(key) is not None:
                await self._buckets.active.copy_from(self._buckets.incoming, key)
                await self._buckets.incoming.delete(key)

    async def _settle_active(self, found: _Found) -> None:
        image, plan = found.original, self._activation.plan
        if image is None:
            await self._settle_left(found)
            return
        if all(record_key(image, stage) in found.others for stage in plan.stages):
            return
        untouched = found.age > self._activation.ttl
        if untouched and plan.variants(image, Stage.BASE) <= found.others:
            return  # of the old backends, which wrote no records, or of before the modern formats were wanted
        await self._settle_thumbnails(image, self._buckets.active)

    async def _settle_left(self, found: _Found) -> None:
        """Without an original, what is left is only known to be unwanted where a tombstone says so."""
        image = ImageKey(next(name for key in found.others if (name := owner(key))), Format.JPG)
        if await is_deleted(image, buckets=self._buckets):
            await delete(image, buckets=self._buckets)
            _count("deletion")

    async def _settle_thumbnails(self, image: ImageKey, bucket: Storage) -> None:
        """Request the first stage that has no record."""
        for stage in self._activation.plan.stages:
            record = await read_record(bucket, image, stage)
            if record is None:
                await self._request(image, stage)
            if record is None or record.failed is not None:
                return

    async def _original_of(self, found: _Found) -> ImageKey | None:
        """The public original that belongs to objects in *incoming*, or None where it is gone from both buckets."""
        name = next(name for key in found.others if (name := owner(key)))
        endings = [spelt for ending in ORIGINALS for spelt in (ending.lower(), ending.upper())]
        for image in (ImageKey(name, ending) for ending in endings):
            for bucket in (self._buckets.incoming, self._buckets.active):
                if await bucket.stat(str(image)) is not None:
                    return image
        return None

    async def _request(self, image: ImageKey, stage: Stage) -> None:
        if stage is Stage.MODERN and self._follow_up_waits:
            return  # its request may still be there
        now = time.monotonic()
        if now - self._asked.get((image.name, stage), -self._after) < self._after:
            return  # asked already: the event waits, or is being tried again
        log.info("thumbnails are owed: requesting them", image=str(image), stage=stage)
        data = RequestData(lane=Lane.LIVE if stage is Stage.BASE else Lane.FOLLOW_UP, stage=stage)
        await self._bus.publish(ThumbnailsRequested(source="/publisher", subject=image, data=data))
        self._asked[image.name, stage] = now
        _count("thumbnails")


async def _survey(bucket: Storage) -> dict[str, _Found]:
    images: dict[str, _Found] = {}
    async for entry in bucket.entries():
        name = owner(entry.key)
        if name is None:
            continue
        found = images.setdefault(name, _Found(entry.age))
        found.age = min(found.age, entry.age)
        try:
            found.original = ImageKey.parse(entry.key)
        except BadName:
            found.others.add(entry.key)
    return images


async def _guarded(settle: Callable[[_Found], Awaitable[None]], found: _Found) -> bool:
    """Settle one image; a fault that it meets is no other image's. Returns whether it was settled."""
    try:
        await settle(found)
    except Transient as fault:
        log.warning("what an image is owed cannot be settled now", image=str(found.original), reason=str(fault))
        return False
    return True


def _count(debt: str) -> None:
    metrics.SETTLED.labels(debt).inc()
