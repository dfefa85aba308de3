"""A fresh look at what a listing makes look wrong, and its repair (docs/bucket-protocol.md#decide-by-a-fresh-look)."""

import asyncio
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from common.errors import NoSuchKey
from common.images.names import ImageKey, is_original
from common.images.plan import Plan
from common.images.records import Stage, decode_record, record_key
from common.messaging.events import Lane
from common.storage.base import Buckets, Storage
from common.storage.image_store import find_original, is_deleted, is_public
from publisher.audit.findings import OF_STAGES, Finding, FindingClass, PossibleFinding
from publisher.context import PublisherContext
from publisher.maintenance.repairs import (
    finish_move,
    missing_stage,
    remove_orphans,
    request_thumbnails,
    stage_of_other_crop,
)
from publisher.removal import remove_everywhere

# Here either the bucket is wrong or the site's database: a person decides.
_OF_DOCUMENTS = (FindingClass.UNLISTED, FindingClass.GONE, FindingClass.NOT_PUBLIC)
_OF_MOVES = (FindingClass.IN_BOTH, FindingClass.NOT_MOVED)


@dataclass(frozen=True)
class Verification:
    """Looks afresh at possible findings. Repairs them if it has a `repair`, the context to repair with."""

    buckets: Buckets
    plan: Plan
    repair: PublisherContext | None = None
    _turns: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)  # by name

    async def verify(self, possible: PossibleFinding) -> Finding | None:
        """Look afresh, and repair what needs no decision. Returns None when nothing is wrong. Raises Transient.

        What was found of one image is repaired in its order: a rendering that is requested has to find the original
        where a move leaves it.
        """
        async with self._turns.setdefault(possible.image.name, asyncio.Lock()):
            return await self._verified(possible)

    async def _verified(self, possible: PossibleFinding) -> Finding | None:
        wrong = await self._wrong(possible)
        if wrong is None:
            return None
        if self.repair is None or possible.kind in _OF_DOCUMENTS:
            return Finding(str(possible), possible.kind, wrong)
        await self._repair(possible, self.repair)
        return Finding(str(possible), possible.kind, wrong, repaired=True)

    async def unfinished_writes(self) -> list[Finding]:
        """What crashed writes have left outside of any key. Removes it if it is to repair."""
        found = [f"{place}/{left}" for place, bucket in self._places() for left in await bucket.unfinished_writes()]
        if found and self.repair is not None:
            await self.buckets.remove_unfinished_writes()
        repaired = self.repair is not None
        return [Finding(left, FindingClass.TEMPORARY, "a write that crashed", repaired=repaired) for left in found]

    async def _wrong(self, possible: PossibleFinding) -> str | None:
        """What is wrong, or None when nothing is wrong any more."""
        kind, image = possible.kind, possible.image
        if kind in OF_STAGES:
            return await self._stage_to_render(kind, image)
        if kind in _OF_DOCUMENTS:
            return await self._wrong_document(kind, image)
        left = await self._present(possible)
        if kind in _OF_MOVES:
            confirmed = await is_public(image, buckets=self.buckets)
        elif kind is FindingClass.DELETED:
            confirmed = await is_deleted(image, buckets=self.buckets)
        else:
            confirmed = await find_original(image.name, buckets=self.buckets) is None
        return ", ".join(left) if left and confirmed else None

    async def _wrong_document(self, kind: FindingClass, image: ImageKey) -> str | None:
        private, public = [await bucket.stat(str(image)) is not None for _, bucket in self._places()]
        if kind is FindingClass.UNLISTED:
            return "it is public, and no document has it" if public else None
        if public and not await is_deleted(image, buckets=self.buckets):
            return None
        if kind is FindingClass.NOT_PUBLIC:
            return "a document has it, and it is only in incoming" if private else None
        return None if private else "a document has it, and no bucket"

    async def _repair(self, possible: PossibleFinding, repair: PublisherContext) -> None:
        kind, image, keys = possible.kind, possible.image, possible.keys
        if kind in OF_STAGES:
            if (stage := await self._stage_to_render(kind, image)) is not None:
                await request_thumbnails(image, stage, Lane.BULK, bus=repair.bus)
        elif kind in _OF_MOVES:
            others = {key for key in keys if not is_original(key)}
            await finish_move(image, others, context=repair)
        elif kind is FindingClass.DELETED:
            await remove_everywhere(keys, buckets=self.buckets)
        else:
            await remove_orphans(keys, buckets=self.buckets)

    async def _stage_to_render(self, kind: FindingClass, image: ImageKey) -> Stage | None:
        """The first stage without a record, or whose record cannot be read or shows another crop.

        While an image is being moved, the records of both buckets count.
        """
        if kind is FindingClass.OTHER_CROP:
            return await stage_of_other_crop(image, buckets=self.buckets, plan=self.plan)
        unreadable = await self._stage_of_unreadable_record(image)
        if kind is FindingClass.UNREADABLE_RECORD:
            return unreadable
        beside = [bucket for _, bucket in self._places() if await bucket.stat(str(image)) is not None]
        missing = [await missing_stage(image, bucket, plan=self.plan) for bucket in beside]
        return missing[0] if missing and None not in missing and missing[0] is not unreadable else None

    async def _stage_of_unreadable_record(self, image: ImageKey) -> Stage | None:
        for stage in self.plan.stages:
            for bucket in (self.buckets.active, self.buckets.incoming):
                try:
                    decode_record(await bucket.get(record_key(image, stage)))
                except NoSuchKey:
                    continue
                except ValueError:
                    return stage
                break
        return None

    async def _present(self, possible: PossibleFinding) -> list[str]:
        """Which of the objects are still there; of a move, which are still in *incoming*."""
        places = self._places()[:1] if possible.kind in _OF_MOVES else self._places()
        keys = sorted(possible.keys)
        return [f"{place}/{key}" for place, bucket in places for key in keys if await bucket.stat(key) is not None]

    def _places(self) -> tuple[tuple[str, Storage], ...]:
        return ("incoming", self.buckets.incoming), ("active", self.buckets.active)
