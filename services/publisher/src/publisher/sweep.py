"""Removing what was never activated, and what outlived its use: rule 8 of the bucket protocol.

A listing only says where to look. What is done is decided by a fresh look at the buckets, and an image goes whole, its
original first, or not at all. Anybody may sweep at the same time, and a sweep that is killed is finished by the next.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum

import structlog

from common import metrics
from common.images.names import CROP, TOMBSTONES, owner
from common.jobs import Outcome, Result
from common.storage import Buckets
from publisher.activation import Activation, is_deleted
from publisher.debts import any_of, finish_deletion, finish_move, original_of, remains, remove_leftovers
from publisher.survey import Found, survey

log = structlog.get_logger()

# Seconds after INCOMING_TTL in which nothing is removed: an activation that was in time, and whatever it leads to, has
# long ended by then, because every handler has a deadline far below.
GRACE = 3600.0
TOMBSTONE_KEPT = 90 * 86400.0  # seconds


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
    left: bool = False  # of a tombstone: whether there still is something of its image

    def __str__(self) -> str:
        return str(self.found)


class Fate(StrEnum):
    """What a fresh look decides."""

    STAYS = "stays"
    EXPIRED = "expired"  # never activated
    REMAINS = "remains"  # of an image whose original is gone
    PUBLIC = "public"  # what is left in *incoming* follows it
    DELETED = "deleted"  # what is left of it goes
    FORGOTTEN = "forgotten"  # nothing comes back any more that a tombstone would have to keep away
    STRAY = "stray"  # a crop of no image


@dataclass(frozen=True)
class Sweep:
    """One sweep after another. `grace` is in seconds."""

    activation: Activation
    grace: float = GRACE

    @property
    def _buckets(self) -> Buckets:
        return self.activation.buckets

    @property
    def _limit(self) -> float:
        return self.activation.ttl + self.grace

    async def due(self, *, active: bool, name: str | None = None) -> AsyncIterator[Due]:
        """What to look at: in *incoming*, and if asked for, crops in *active*, which takes a listing of all of it.

        With `name`, what there is of this one image. Raises StorageFault.
        """
        incoming = self._buckets.incoming
        images = await survey(incoming.entries() if name is None else incoming.objects_of([name]))
        for found in images.values():
            age = found.age if found.original is None else found.original_age
            if age > self._limit:
                yield Due(What.IMAGE, found)
        old = [
            entry.key.removeprefix(TOMBSTONES)
            async for entry in incoming.entries(f"{TOMBSTONES}{name or ''}")
            if entry.age > TOMBSTONE_KEPT and name in (None, entry.key.removeprefix(TOMBSTONES))
        ]
        left = await self._left(old)
        for deleted in old:
            yield Due(What.TOMBSTONE, Found(deleted, TOMBSTONE_KEPT), deleted in left)
        if active:
            entries = self._buckets.active.entries() if name is None else self._buckets.active.objects_of([name])
            async for entry in entries:
                if entry.key.endswith(CROP) and (cropped := owner(entry.key)) is not None:
                    yield Due(What.CROP, Found(cropped, entry.age))

    async def settle(self, due: Due, *, dry_run: bool = False) -> Outcome:
        """Look afresh, and do what is decided, unless it is a `dry_run`. Raises Transient."""
        with structlog.contextvars.bound_contextvars(image=str(due)):
            fate = await self._fate(due)
            if fate is Fate.STAYS:
                return Outcome(str(due), Result.SKIPPED)
            if not dry_run:
                await self._do(fate, due.found)
            return Outcome(str(due), Result.PROCESSED, reason=fate)

    async def _left(self, names: list[str]) -> set[str]:
        """Those of these images that are not gone, whatever their tombstones say."""
        both = (self._buckets.incoming, self._buckets.active)
        found = [owner(entry.key) for bucket in both async for entry in bucket.objects_of(set(names))] if names else []
        return {name for name in found if name is not None}

    async def _fate(self, due: Due) -> Fate:
        if due.what is What.IMAGE:
            return await self._fate_of_image(due.found)
        if due.what is What.TOMBSTONE:
            entry = await self._buckets.incoming.stat(any_of(due.found.name).tombstone)
            if entry is None or entry.age <= TOMBSTONE_KEPT:
                return Fate.STAYS
            return Fate.DELETED if due.left else Fate.FORGOTTEN
        stray = await original_of(due.found.name, buckets=self._buckets) is None
        return Fate.STRAY if stray else Fate.STAYS

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
        image = any_of(found.name)
        if fate is Fate.EXPIRED:
            await self._remove_expired(found)
        elif fate is Fate.REMAINS:
            await remove_leftovers(self._rest(found), buckets=self._buckets)
        elif fate is Fate.DELETED:
            await finish_deletion(image, buckets=self._buckets)
        elif fate is Fate.PUBLIC:
            await self._finish_move(found)
        elif fate is Fate.FORGOTTEN:
            await self._buckets.incoming.delete(image.tombstone)
        elif fate is Fate.STRAY:
            await remove_leftovers(remains(found.name, self.activation.plan), buckets=self._buckets)
        log.info("swept", what=fate)
        metrics.SWEPT.labels(fate).inc()

    async def _remove_expired(self, found: Found) -> None:
        await self._buckets.incoming.delete(str(found.original))
        # Another format may have the same name. And should somebody have copied it just before: nothing is lost yet.
        if await original_of(found.name, buckets=self._buckets) is None:
            await remove_leftovers(self._rest(found), buckets=self._buckets)
        elif await self._buckets.active.stat(str(found.original)) is not None:
            await self._finish_move(found)

    def _rest(self, found: Found) -> set[str]:
        """All but the original."""
        return found.others | remains(found.name, self.activation.plan)

    async def _finish_move(self, found: Found) -> None:
        image = found.original or await original_of(found.name, buckets=self._buckets)
        if image is not None:
            await finish_move(image, found.others, activation=self.activation)
