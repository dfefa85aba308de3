"""`resize`: having the thumbnails of public images made anew, by the resizers that run, on the bulk lane."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

from common.cancellation import together
from common.images.names import BadName, ImageKey
from common.images.records import Stage
from common.jobs import Outcome, Result, Tally, Thumbnails, retry_transient
from common.jobs.thumbnails import ImageGone
from common.storage.base import Buckets, Storage
from common.storage.image_store import is_deleted


@dataclass(frozen=True)
class Selection:
    """Which public images, and which of their stages (all, unless `stage` names one).

    `older` and `younger` are ages in seconds, counted from the upload. With `missing`, only stages without a record of
    today's settings; with `failed`, those also of which that record is one of a failure.
    """

    missing: bool = False
    failed: bool = False
    stage: Stage | None = None
    key: ImageKey | None = None
    prefix: str = ""
    older: float | None = None
    younger: float | None = None

    def takes(self, image: ImageKey, now: float) -> bool:
        """Whether the image is one of them. An image's name begins with the second in which it was uploaded."""
        age = now - int(image.name.partition("_")[0])
        return (
            (self.key is None or image == self.key)
            and (self.older is None or age > self.older)
            and (self.younger is None or age < self.younger)
        )


@dataclass(frozen=True)
class Regeneration:
    """What regenerating needs.

    `stages` are those that today's settings have, as far as they are selected; `jobs` how many images are looked at at
    once.
    """

    buckets: Buckets
    thumbnails: Thumbnails
    selection: Selection
    stages: tuple[Stage, ...]
    jobs: int


@dataclass(frozen=True)
class PendingImage:
    """An image, and the stages of it that have to be made, `anew` also where there are thumbnails already."""

    image: ImageKey
    stages: tuple[Stage, ...]
    anew: bool

    def __str__(self) -> str:
        return str(self.image)


async def selected(active: Storage, selection: Selection) -> AsyncIterator[ImageKey]:
    """The originals in *active* that are selected, as the store lists them. Raises StorageFault."""
    now = time.time()
    async for entry in active.entries(selection.key.name if selection.key else selection.prefix):
        try:
            image = ImageKey.parse(entry.key)
        except BadName:
            continue
        if selection.takes(image, now):
            yield image


async def pending_images(tally: Tally, limit: int | None, *, regeneration: Regeneration) -> AsyncIterator[PendingImage]:
    """What has to be made of the selected images, at most `limit` of them; the others are counted at once.

    Raises StorageFault, JobFault.
    """
    taken = 0
    images = selected(regeneration.buckets.active, regeneration.selection)
    while batch := [image async for image in _some(images, regeneration.jobs)]:
        looks = (retry_transient(partial(_look, image, regeneration), str(image)) for image in batch)
        for found in await together(*looks):
            if isinstance(found, Outcome):
                tally.add(found)
                continue
            yield found
            taken += 1
            if taken == limit:
                return


async def regenerate(pending_images: PendingImage, *, regeneration: Regeneration) -> Outcome:
    """Have the image's stages made. Raises StorageFault, BusFault."""
    try:
        await regeneration.thumbnails.forget(pending_images.image, pending_images.stages, made=pending_images.anew)
        failure = await regeneration.thumbnails.make(pending_images.image, pending_images.stages)
    except ImageGone:
        return Outcome(str(pending_images), Result.SKIPPED, "deleted")
    if failure is not None:
        return Outcome(str(pending_images), Result.ERROR, failure.fault, failure.reason)
    return Outcome(str(pending_images), Result.PROCESSED)


async def _some(images: AsyncIterator[ImageKey], count: int) -> AsyncIterator[ImageKey]:
    for _ in range(count):
        try:
            yield await anext(images)
        except StopAsyncIteration:
            return


async def _look(image: ImageKey, regeneration: Regeneration) -> PendingImage | Outcome:
    buckets, stages, selection = regeneration.buckets, regeneration.stages, regeneration.selection
    if await is_deleted(image, buckets=buckets):
        return Outcome(str(image), Result.SKIPPED, "deleted")
    if selection.missing:
        missing = await regeneration.thumbnails.missing(image, stages)
        failed = selection.failed and await regeneration.thumbnails.failure(image, stages) is not None
        if not failed:
            return PendingImage(image, tuple(missing), anew=False) if missing else Outcome(str(image), Result.SKIPPED)
    return PendingImage(image, stages, anew=True)
