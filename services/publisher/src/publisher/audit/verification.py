"""A second look at what seems wrong in the buckets, and settling it by what the reconciler uses.

A listing only raises a suspicion: what is reported, and what is done, is decided by a fresh look at the buckets.
"""

from dataclasses import dataclass

from common.images.names import ImageKey, is_original
from common.images.plan import Plan
from common.images.records import Stage
from common.jobs import Outcome, Result
from common.messaging.events import Lane
from common.storage.base import Buckets, Storage
from common.storage.image_store import find_original, is_deleted, is_public
from publisher.audit.findings import FindingClass, PossibleFinding
from publisher.context import PublisherContext
from publisher.maintenance.repairs import (
    finish_move,
    missing_stage,
    remove_orphans,
    request_thumbnails,
    stage_of_other_crop,
)
from publisher.removal import delete_everywhere

# Whether the bucket is wrong or the site's database is for a person to decide.
_OF_DOCUMENTS = (FindingClass.UNLISTED, FindingClass.GONE, FindingClass.NOT_PUBLIC)
_OF_STAGES = (FindingClass.NO_RECORD, FindingClass.OTHER_CROP)
_OF_MOVES = (FindingClass.IN_BOTH, FindingClass.NOT_MOVED)


@dataclass(frozen=True)
class Verification:
    """Looks, and where there is something to `repair` with, settles."""

    buckets: Buckets
    plan: Plan
    repair: PublisherContext | None = None

    async def verify(self, suspicion: PossibleFinding) -> Outcome:
        """Look afresh, and settle what can be. Raises Transient."""
        wrong = await self._wrong(suspicion)
        if wrong is None:
            return Outcome(str(suspicion), Result.SKIPPED)
        if self.repair is None or suspicion.kind in _OF_DOCUMENTS:
            return Outcome(str(suspicion), Result.ERROR, suspicion.kind, wrong)
        await self._settle(suspicion, self.repair)
        return Outcome(str(suspicion), Result.PROCESSED, suspicion.kind, wrong)

    async def unfinished_writes(self) -> list[Outcome]:
        """What crashed writes have left outside of any key; removes it where there is something to repair with."""
        found = [f"{place}/{left}" for place, bucket in self._places() for left in await bucket.unfinished_writes()]
        if found and self.repair is not None:
            await self.buckets.remove_unfinished_writes()
        result = Result.ERROR if self.repair is None else Result.PROCESSED
        return [Outcome(left, result, FindingClass.TEMPORARY, "a write that crashed") for left in found]

    async def _wrong(self, suspicion: PossibleFinding) -> str | None:
        """What is wrong, or None when all is well by now."""
        kind, image = suspicion.kind, suspicion.image
        if kind in _OF_STAGES:
            return await self._stage_owed(kind, image)
        if kind in _OF_DOCUMENTS:
            return await self._wrong_document(kind, image)
        left = await self._present(suspicion)
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

    async def _settle(self, suspicion: PossibleFinding, repair: PublisherContext) -> None:
        kind, image, keys = suspicion.kind, suspicion.image, suspicion.keys
        if kind in _OF_STAGES:
            if (stage := await self._stage_owed(kind, image)) is not None:
                await request_thumbnails(image, stage, Lane.BULK, bus=repair.bus)
        elif kind in _OF_MOVES:
            others = {key for key in keys if not is_original(key)}
            await finish_move(image, others, context=repair)
        elif kind is FindingClass.DELETED:
            await delete_everywhere(keys, buckets=self.buckets)
        else:
            await remove_orphans(keys, buckets=self.buckets)

    async def _stage_owed(self, kind: FindingClass, image: ImageKey) -> Stage | None:
        """The first stage without a record, or with one of another crop.

        Of an image that is still being moved, either bucket's records count.
        """
        if kind is FindingClass.OTHER_CROP:
            return await stage_of_other_crop(image, buckets=self.buckets, plan=self.plan)
        beside = [bucket for _, bucket in self._places() if await bucket.stat(str(image)) is not None]
        owed = [await missing_stage(image, bucket, plan=self.plan) for bucket in beside]
        return owed[0] if owed and None not in owed else None

    async def _present(self, suspicion: PossibleFinding) -> list[str]:
        """Which of the objects are still there; of a move, which are still to be moved."""
        places = self._places()[:1] if suspicion.kind in _OF_MOVES else self._places()
        keys = sorted(suspicion.keys)
        return [f"{place}/{key}" for place, bucket in places for key in keys if await bucket.stat(key) is not None]

    def _places(self) -> tuple[tuple[str, Storage], ...]:
        return ("incoming", self.buckets.incoming), ("active", self.buckets.active)
