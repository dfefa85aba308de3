"""Regeneration (`resize`): the running resizers make public images' thumbnails anew, on the bulk lane."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

from common.cancellation import together
from common.images.names import BadName, ImageKey
from common.images.records import Stage
from common.jobs import BulkRendering, Outcome, Result, Tally, retry_transient
from common.jobs.bulk_rendering import ImageGone
from common.storage.base import Buckets, Storage
from common.storage.image_store import is_deleted


@dataclass(frozen=True)
class Selection:
    """Which public images are regenerated, and which of their stages (all, unless `stage` names one).

    `older` and `younger` are ages in seconds since the upload. `missing` selects only stages without a record of
    today's settings, and `failed` also those whose record is of a failure.
    """

    missing: bool = False
    failed: bool = False
    stage: Stage | None = None
    key: ImageKey | None = None
    prefix: str = ""
    older: float | None = None
    younger: float | None = None

    def includes(self, image: ImageKey, now: float) -> bool:
        """Whether the image is selected. Its name begins with the second of its upload."""
        age = now - int(image.name.partition("_")[0])
        return (
            (self.key is None or image == self.key)
            and (self.older is None or age > self.older)
            and (self.younger is None or age < self.younger)
        )


@dataclass(frozen=True)
class Regeneration:
    """What regenerating needs.

    `stages` are the selected stages that today's settings have. `jobs` is how many images are looked at at once.
    """

    buckets: Buckets
    rendering: BulkRendering
    selection: Selection
    stages: tuple[Stage, ...]
    jobs: int


@dataclass(frozen=True)
class PendingImage:
    """An image and the stages to be made. `anew`: also those that have thumbnails of today's settings."""

    image: ImageKey
    stages: tuple[Stage, ...]
    anew: bool

    def __str__(self) -> str:
        return str(self.image)


async def selected_images(active: Storage, selection: Selection) -> AsyncIterator[ImageKey]:
    """The originals in *active* that are selected, as the store lists them. Raises StorageFault."""
    now = time.time()
    async for entry in active.entries(selection.key.name if selection.key else selection.prefix):
        try:
            image = ImageKey.parse(entry.key)
        except BadName:
            continue
        if selection.includes(image, now):
            yield image


async def pending_images(tally: Tally, limit: int | None, *, regeneration: Regeneration) -> AsyncIterator[PendingImage]:
    """The selected images that have stages to be made, at most `limit`. The others are added to the tally at once.

    Raises StorageFault, JobFault.
    """
    taken = 0
    images = selected_images(regeneration.buckets.active, regeneration.selection)
    while batch := [image async for image in _take(images, regeneration.jobs)]:
        looks = (retry_transient(partial(_look, image, regeneration), str(image)) for image in batch)
        for found in await together(*looks):
            if isinstance(found, Outcome):
                tally.add(found)
                continue
            yield found
            taken += 1
            if taken == limit:
                return


async def regenerate(pending: PendingImage, *, regeneration: Regeneration) -> Outcome:
    """Have the image's stages made. Raises StorageFault, BusFault."""
    try:
        await regeneration.rendering.remove_records(pending.image, pending.stages, finished=pending.anew)
        failure = await regeneration.rendering.render(pending.image, pending.stages)
    except ImageGone:
        return Outcome(str(pending), Result.SKIPPED, remark="deleted")
    if failure is not None:
        return Outcome(str(pending), Result.ERROR, failure.fault, failure.reason)
    return Outcome(str(pending), Result.PROCESSED)


async def _take(images: AsyncIterator[ImageKey], count: int) -> AsyncIterator[ImageKey]:
    for _ in range(count):
        try:
            yield await anext(images)
        except StopAsyncIteration:
            return


async def _look(image: ImageKey, regeneration: Regeneration) -> PendingImage | Outcome:
    buckets, stages, selection = regeneration.buckets, regeneration.stages, regeneration.selection
    if await is_deleted(image, buckets=buckets):
        return Outcome(str(image), Result.SKIPPED, remark="deleted")
    if selection.missing:
        missing = await regeneration.rendering.missing_stages(image, stages)
        failed = selection.failed and await regeneration.rendering.read_failure(image, stages) is not None
        if not failed:
            return PendingImage(image, tuple(missing), anew=False) if missing else Outcome(str(image), Result.SKIPPED)
    return PendingImage(image, stages, anew=True)
