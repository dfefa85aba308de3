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
from common.images.names import CROP, image_name_of
from common.jobs import Outcome, Result
from common.messaging.events import ImageExpired
from common.storage.base import Buckets
from common.storage.image_store import find_original, is_deleted, is_public
from publisher.context import PublisherContext
from publisher.maintenance import tombstones
from publisher.maintenance.listing import ListedImage, list_images, with_pauses
from publisher.maintenance.repairs import (
    any_key,
    finish_deletion,
    finish_move,
    remove_orphans,
    remove_private_orphans,
)

log = structlog.get_logger()

# Seconds after INCOMING_TTL in which nothing is removed: an activation that was in time, and whatever it leads to, has
# long ended by then, because every handler has a deadline far below. Nothing that was in hand when an image was deleted
# is still, either.
GRACE = 3600.0


class CandidateKind(StrEnum):
    """What the sweep may remove."""

    IMAGE = "image"
    TOMBSTONE = "tombstone"
    CROP = "crop"


@dataclass(frozen=True)
class Candidate:
    """What a listing makes look as if it could go: an image, or what is left of the one of this name."""

    what: CandidateKind
    found: ListedImage

    def __str__(self) -> str:
        return str(self.found)


class SweepAction(StrEnum):
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

    context: PublisherContext
    temporary: Path
    grace: float = GRACE

    @property
    def _buckets(self) -> Buckets:
        return self.context.buckets

    @property
    def _limit(self) -> float:
        return self.context.ttl + self.grace

    async def candidates(self, *, thorough: bool, name: str | None = None) -> AsyncGenerator[Candidate, None]:
        """What to look at: images in *incoming*, and tombstones of which nobody knows yet that nothing is left.

        If it is to be `thorough`, all tombstones, and crops in *active*, which takes a listing of all of it. With
        `name`, what there is of this one image. Raises StorageFault.
        """
        incoming, active = self._buckets.incoming, self._buckets.active
        listed = list_images(incoming.entries() if name is None else incoming.objects_of([name]), self.temporary)
        async with aclosing(listed) as images:
            async for found in images:
                age = found.age if found.original is None else found.original_age
                if age > self._limit:
                    yield Candidate(CandidateKind.IMAGE, found)
        async with aclosing(tombstones.unverified(self._buckets, marked=thorough, name=name)) as deleted:
            async for found in deleted:
                if found.others or found.age > self.grace:
                    yield Candidate(CandidateKind.TOMBSTONE, found)
        if thorough:
            entries = active.entries() if name is None else active.objects_of([name])
            async for entry in with_pauses(entries):
                if entry.key.endswith(CROP) and (cropped := image_name_of(entry.key)) is not None:
                    yield Candidate(CandidateKind.CROP, ListedImage(cropped, entry.age))

    async def settle(self, candidates: Candidate, *, dry_run: bool = False) -> Outcome:
        """Look afresh, and do what is decided, unless it is a `dry_run`. Raises Transient."""
        with structlog.contextvars.bound_contextvars(image=str(candidates)):
            if candidates.what is CandidateKind.TOMBSTONE:
                return await self._settle_tombstone(candidates.found, dry_run=dry_run)
            action = await self._decide(candidates)
            if action is SweepAction.STAYS:
                return Outcome(str(candidates), Result.SKIPPED)
            if not dry_run:
                await self._do(action, candidates.found)
            return Outcome(str(candidates), Result.PROCESSED, reason=action)

    async def _settle_tombstone(self, found: ListedImage, *, dry_run: bool) -> Outcome:
        left = await tombstones.remaining_objects(found, buckets=self._buckets)
        if not dry_run:
            plan = self.context.plan
            await tombstones.settle(found, left, buckets=self._buckets, plan=plan, after=self.grace)
        if not left:
            return Outcome(str(found), Result.SKIPPED)
        if not dry_run:
            metrics.SWEPT.labels(SweepAction.DELETED).inc()
        return Outcome(str(found), Result.PROCESSED, reason=SweepAction.DELETED)

    async def _decide(self, candidates: Candidate) -> SweepAction:
        if candidates.what is CandidateKind.IMAGE:
            return await self._decide_image(candidates.found)
        return SweepAction.STRAY if await self._is_stray(candidates.found.name) else SweepAction.STAYS

    async def _is_stray(self, name: str) -> bool:
        """Whether a crop is all there is. Versions may be all that is left of a photo: `reconcile` reports those."""
        if await find_original(name, buckets=self._buckets) is not None:
            return False
        return all([entry.key.endswith(CROP) async for entry in self._buckets.active.objects_of([name])])

    async def _decide_image(self, found: ListedImage) -> SweepAction:
        if await is_deleted(any_key(found.name), buckets=self._buckets):
            return SweepAction.DELETED
        image = found.original or await find_original(found.name, buckets=self._buckets)
        if image is None:
            return SweepAction.REMAINS
        entry = await self._buckets.incoming.stat(str(image))
        if await is_public(image, buckets=self._buckets):
            return SweepAction.PUBLIC
        listed_and_old = image == found.original and entry is not None and entry.age > self._limit
        return SweepAction.EXPIRED if listed_and_old else SweepAction.STAYS

    async def _do(self, action: SweepAction, found: ListedImage) -> None:
        image, plan = any_key(found.name), self.context.plan
        if action is SweepAction.EXPIRED:
            await self._remove_expired(found)
        elif action is SweepAction.REMAINS:
            await remove_private_orphans(found.name, found.others, buckets=self._buckets, plan=plan)
        elif action is SweepAction.DELETED:
            await finish_deletion(image, found.keys, buckets=self._buckets, plan=plan)
        elif action is SweepAction.PUBLIC:
            await self._finish_move(found)
        elif action is SweepAction.STRAY:
            await remove_orphans({image.crop}, buckets=self._buckets)
        log.info("swept", what=action)
        metrics.SWEPT.labels(action).inc()

    async def _remove_expired(self, found: ListedImage) -> None:
        image = found.original
        assert image is not None
        await self._buckets.incoming.delete(str(image))
        # Another format may have the same name. And should somebody have copied it just before: nothing is lost yet.
        if await find_original(found.name, buckets=self._buckets) is None:
            plan = self.context.plan
            await remove_private_orphans(found.name, found.others, buckets=self._buckets, plan=plan)
        elif await is_public(image, buckets=self._buckets):
            await self._finish_move(found)
            return
        await self.context.outbox.send(ImageExpired(source="/publisher", subject=image))

    async def _finish_move(self, found: ListedImage) -> None:
        image = found.original or await find_original(found.name, buckets=self._buckets)
        if image is not None:
            await finish_move(image, found.others, context=self.context)
