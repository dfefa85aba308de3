"""Removing expired uploads, what deletions left, and orphans (docs/bucket-protocol.md#expiry).

What is done is decided by a fresh look at the buckets (docs/bucket-protocol.md#decide-by-a-fresh-look). An image is
removed whole, its original first, or not at all (docs/bucket-protocol.md#whole-images). Several processes may sweep at
once. The next sweep finishes one that was killed.
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
    finish_deletion,
    finish_move,
    key_of_any_format,
    remove_orphans,
    remove_private_orphans,
    remove_without_original,
)

log = structlog.get_logger()

# Seconds after INCOMING_TTL in which nothing is removed (docs/bucket-protocol.md#expiry-after-grace): every handler's
# deadline is far below, so that an activation that was in time has ended, and so has all work on a deleted image.
GRACE = 3600.0


class CandidateKind(StrEnum):
    """What the sweep may remove."""

    IMAGE = "image"
    TOMBSTONE = "tombstone"
    CROP = "crop"


@dataclass(frozen=True)
class Candidate:
    """What a listing makes look removable: an image, or what is left of the image of this name."""

    kind: CandidateKind
    listed: ListedImage

    def __str__(self) -> str:
        return str(self.listed)


class SweepAction(StrEnum):
    """What a fresh look decides. The values are those of logs, reports and the metric."""

    LEAVE_ALONE = "stays"
    REMOVE_EXPIRED = "expired"  # it was never activated
    REMOVE_ORPHANS = "remains"  # the original is in neither bucket
    FINISH_MOVE = "public"  # the original is public
    FINISH_DELETION = "deleted"  # the image has a tombstone
    REMOVE_CROP = "stray"  # a crop is all there is


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
        """What to look at: old images in *incoming*, and unverified tombstones.

        A `thorough` sweep also looks at verified tombstones, and at crops in *active*, which takes a listing of all of
        *active*. With `name`, it looks at this one image alone. Raises StorageFault.
        """
        incoming, active = self._buckets.incoming, self._buckets.active
        listed = list_images(incoming.entries() if name is None else incoming.objects_of([name]), self.temporary)
        async with aclosing(listed) as images:
            async for found in images:
                age = found.age if found.original is None else found.original_age
                if age > self._limit:
                    yield Candidate(CandidateKind.IMAGE, found)
        async with aclosing(tombstones.unverified(self._buckets, verified_too=thorough, name=name)) as deleted:
            async for found in deleted:
                if found.others or found.age > self.grace:
                    yield Candidate(CandidateKind.TOMBSTONE, found)
        if thorough:
            entries = active.entries() if name is None else active.objects_of([name])
            async for entry in with_pauses(entries):
                if entry.key.endswith(CROP) and (cropped := image_name_of(entry.key)) is not None:
                    yield Candidate(CandidateKind.CROP, ListedImage(cropped, entry.age))

    async def process(self, candidate: Candidate, *, dry_run: bool = False) -> Outcome:
        """Look afresh, and do what is decided, unless it is a `dry_run`. Raises Transient."""
        with structlog.contextvars.bound_contextvars(image=str(candidate)):
            if candidate.kind is CandidateKind.TOMBSTONE:
                return await self._process_tombstone(candidate.listed, dry_run=dry_run)
            action = await self._decide(candidate)
            if action is SweepAction.LEAVE_ALONE:
                return Outcome(str(candidate), Result.SKIPPED)
            if not dry_run:
                await self._carry_out(action, candidate.listed)
            return Outcome(str(candidate), Result.PROCESSED, reason=action)

    async def _process_tombstone(self, found: ListedImage, *, dry_run: bool) -> Outcome:
        left = await tombstones.remaining_objects(found, buckets=self._buckets)
        if not dry_run:
            plan = self.context.plan
            await tombstones.finish(found, left, buckets=self._buckets, plan=plan, after=self.grace)
        if not left:
            return Outcome(str(found), Result.SKIPPED)
        if not dry_run:
            metrics.SWEPT.labels(SweepAction.FINISH_DELETION).inc()
        return Outcome(str(found), Result.PROCESSED, reason=SweepAction.FINISH_DELETION)

    async def _decide(self, candidate: Candidate) -> SweepAction:
        if candidate.kind is CandidateKind.IMAGE:
            return await self._decide_image(candidate.listed)
        return SweepAction.REMOVE_CROP if await self._is_stray(candidate.listed.name) else SweepAction.LEAVE_ALONE

    async def _is_stray(self, name: str) -> bool:
        """Whether a crop is all there is. Public orphans stay (docs/bucket-protocol.md#public-orphans-are-reported)."""
        if await find_original(name, buckets=self._buckets) is not None:
            return False
        return all([entry.key.endswith(CROP) async for entry in self._buckets.active.objects_of([name])])

    async def _decide_image(self, found: ListedImage) -> SweepAction:
        if await is_deleted(key_of_any_format(found.name), buckets=self._buckets):
            return SweepAction.FINISH_DELETION
        image = found.original or await find_original(found.name, buckets=self._buckets)
        if image is None:
            return SweepAction.REMOVE_ORPHANS
        entry = await self._buckets.incoming.stat(str(image))
        if await is_public(image, buckets=self._buckets):
            return SweepAction.FINISH_MOVE
        listed_and_old = image == found.original and entry is not None and entry.age > self._limit
        return SweepAction.REMOVE_EXPIRED if listed_and_old else SweepAction.LEAVE_ALONE

    async def _carry_out(self, action: SweepAction, found: ListedImage) -> None:
        image, plan = key_of_any_format(found.name), self.context.plan
        if action is SweepAction.REMOVE_EXPIRED:
            await self._remove_expired(found)
        elif action is SweepAction.REMOVE_ORPHANS:
            await remove_private_orphans(found.name, found.others, buckets=self._buckets, plan=plan)
        elif action is SweepAction.FINISH_DELETION:
            await finish_deletion(image, found.keys, buckets=self._buckets, plan=plan)
        elif action is SweepAction.FINISH_MOVE:
            await self._finish_move(found)
        elif action is SweepAction.REMOVE_CROP:
            await remove_orphans({image.crop_key}, buckets=self._buckets)
        log.info("swept", what=action)
        metrics.SWEPT.labels(action).inc()

    async def _remove_expired(self, found: ListedImage) -> None:
        image = found.original
        assert image is not None
        await self._buckets.incoming.delete(str(image))
        # Another format may have the same name. And an activation may have copied the original just before.
        if await find_original(found.name, buckets=self._buckets) is None:
            plan = self.context.plan
            await remove_without_original(found.name, found.others, buckets=self._buckets, plan=plan)
        elif await is_public(image, buckets=self._buckets):
            await self._finish_move(found)
            return
        await self.context.outbox.send(ImageExpired(source="/publisher", subject=image))

    async def _finish_move(self, found: ListedImage) -> None:
        image = found.original or await find_original(found.name, buckets=self._buckets)
        if image is not None:
            await finish_move(image, found.others, context=self.context)
