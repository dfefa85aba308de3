"""Removing what was never activated, and what outlived its use: rule 8 of the bucket protocol.

A listing only says where to look. What is done is decided by a fresh look at the buckets, and an image goes whole, its
original first, or not at all. Anybody may sweep at the same time, and a sweep that is killed is finished by the next.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import structlog

from common import metrics
from common.images.names import CROP, owner
from common.jobs import Outcome, Result
from common.messaging.events import ImageExpired
from common.storage.base import Buckets
from common.storage.image_store import original_of
from publisher.activation import Activation, is_deleted
from publisher.maintenance import tombstones
from publisher.maintenance.listing import Found, paced, survey
from publisher.maintenance.repairs import (
    any_of,
    finish_deletion,
    finish_move,
    remove_leftovers,
    remove_private_leftovers,
)

log = structlog.get_logger()

# Seconds after INCOMING_TTL in which nothing is removed: an activation that was in time, and whatever it leads to, has
# long ended by then, because every handler has a deadline far below. Nothing that was in hand when an image was deleted
# is still, either.
GRACE = 3600.0


class What(StrEnum):
    """What the sweep may remove."""

    IMAGE = "image"
    TOMBSTONE = "tombstone"
    CROP = "crop"


@dataclass(frozen=True)
class Due:
    """What a listing makes look as if it could go: an image, or what is left of the one of this name."""

    what: What
    found: Found

    def __str__(self) -> str:
        return str(self.found)


class Fate(StrEnum):
    """What a fresh look decides."""

    STAYS = "stays"
    EXPIRED = "expired"  # never activated
    REMAINS = "remains"  # of an image whose original is gone
    PUBLIC = "public"  # what is left in *incoming* follows it
    DELETED = "deleted"  # what is left of it goes
    STRAY = "stray"  # a crop of no image, alone


@dataclass(frozen=True)
class Sweep:
    """One sweep after another. `temporary` is the folder for the list of a large bucket, `grace` is in seconds."""

    activation: Activation
    temporary: Path
    grace: float = GRACE

    @property
    def _buckets(self) -> Buckets:
        return self.activation.buckets

    @property
    def _limit(self) -> float:
        return self.activation.ttl + self.grace

    async def due(self, *, thorough: bool, name: str | None = None) -> AsyncGenerator[Due, None]:
        """What to look at: images in *incoming*, and tombstones of which nobody knows yet that nothing is left.

        If it is to be `thorough`, all tombstones, and crops in *active*, which takes a listing of all of it. With
        `name`, what there is of this one image. Raises StorageFault.
        """
        incoming, active = self._buckets.incoming, self._buckets.active
        listed = survey(incoming.entries() if name is None else incoming.objects_of([name]), self.temporary)
        async with aclosing(listed) as images:
            async for found in images:
                age = found.age if found.original is None else found.original_age
                if age > self._limit:
                    yield Due(What.IMAGE, found)
        async with aclosing(tombstones.unsettled(self._buckets, marked=thorough, name=name)) as deleted:
            async for found in deleted:
                if found.others or found.age > self.grace:
                    yield Due(What.TOMBSTONE, found)
        if thorough:
            entries = active.entries() if name is None else active.objects_of([name])
            async for entry in paced(entries):
                if entry.key.endswith(CROP) and (cropped := owner(entry.key)) is not None:
                    yield Due(What.CROP, Found(cropped, entry.age))

    async def settle(self, due: Due, *, dry_run: bool = False) -> Outcome:
        """Look afresh, and do what is decided, unless it is a `dry_run`. Raises Transient."""
        with structlog.contextvars.bound_contextvars(image=str(due)):
            if due.what is What.TOMBSTONE:
                return await self._settle_tombstone(due.found, dry_run=dry_run)
            fate = await self._fate(due)
            if fate is Fate.STAYS:
                return Outcome(str(due), Result.SKIPPED)
            if not dry_run:
                await self._do(fate, due.found)
            return Outcome(str(due), Result.PROCESSED, reason=fate)

    async def _settle_tombstone(self, found: Found, *, dry_run: bool) -> Outcome:
        left = await tombstones.left_of(found, buckets=self._buckets)
        if not dry_run:
            plan = self.activation.plan
            await tombstones.settle(found, left, buckets=self._buckets, plan=plan, after=self.grace)
        if not left:
            return Outcome(str(found), Result.SKIPPED)
        if not dry_run:
            metrics.SWEPT.labels(Fate.DELETED).inc()
        return Outcome(str(found), Result.PROCESSED, reason=Fate.DELETED)

    async def _fate(self, due: Due) -> Fate:
        if due.what is What.IMAGE:
            return await self._fate_of_image(due.found)
        return Fate.STRAY if await self._is_stray(due.found.name) else Fate.STAYS

    async def _is_stray(self, name: str) -> bool:
        """Whether a crop is all there is. Versions may be all that is left of a photo: `reconcile` reports those."""
        if await original_of(name, buckets=self._buckets) is not None:
            return False
        return all([entry.key.endswith(CROP) async for entry in self._buckets.active.objects_of([name])])

    async def _fate_of_image(self, found: Found) -> Fate:
        if await is_deleted(any_of(found.name), buckets=self._buckets):
            return Fate.DELETED
        image = found.original or await original_of(found.name, buckets=self._buckets)
        if image is None:
            return Fate.REMAINS
        entry = await self._buckets.incoming.stat(str(image))
        if await self._buckets.active.stat(str(image)) is not None:
            return Fate.PUBLIC
        listed_and_old = image == found.original and entry is not None and entry.age > self._limit
        return Fate.EXPIRED if listed_and_old else Fate.STAYS

    async def _do(self, fate: Fate, found: Found) -> None:
        image, plan = any_of(found.name), self.activation.plan
        if fate is Fate.EXPIRED:
            await self._remove_expired(found)
        elif fate is Fate.REMAINS:
            await remove_private_leftovers(found.name, found.others, buckets=self._buckets, plan=plan)
        elif fate is Fate.DELETED:
            await finish_deletion(image, found.keys, buckets=self._buckets, plan=plan)
        elif fate is Fate.PUBLIC:
            await self._finish_move(found)
        elif fate is Fate.STRAY:
            await remove_leftovers({image.crop}, buckets=self._buckets)
        log.info("swept", what=fate)
        metrics.SWEPT.labels(fate).inc()

    async def _remove_expired(self, found: Found) -> None:
        image = found.original
        assert image is not None
        await self._buckets.incoming.delete(str(image))
        # Another format may have the same name. And should somebody have copied it just before: nothing is lost yet.
        if await original_of(found.name, buckets=self._buckets) is None:
            plan = self.activation.plan
            await remove_private_leftovers(found.name, found.others, buckets=self._buckets, plan=plan)
        elif await self._buckets.active.stat(str(image)) is not None:
            await self._finish_move(found)
            return
        await self.activation.outbox.send(ImageExpired(source="/publisher", subject=image))

    async def _finish_move(self, found: Found) -> None:
        image = found.original or await original_of(found.name, buckets=self._buckets)
        if image is not None:
            await finish_move(image, found.others, activation=self.activation)
