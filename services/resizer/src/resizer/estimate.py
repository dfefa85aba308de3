"""Estimating the CPU hours of a `resize`, by rendering a sample of its images on this machine."""

import random
from collections import Counter
from dataclasses import dataclass, field

from common.errors import Defect, ImageError, NoSuchKey
from common.images.names import ImageKey
from common.images.records import Stage
from common.jobs import Outcome, Result
from common.storage.base import Storage
from common.storage.image_store import read_crop
from resizer.regeneration import PendingImage
from resizer.rendering import Renderer

_SAMPLE = 16  # images of each stage that are rendered


@dataclass
class RegenerationEstimate:
    """Counts the images of each stage, and keeps a random sample of them."""

    counted: Counter[Stage] = field(default_factory=Counter)
    _sample: dict[Stage, list[ImageKey]] = field(default_factory=dict)

    async def count(self, pending: PendingImage) -> Outcome:
        """Count one more image."""
        for stage in pending.stages:
            self._take(pending.image, stage)
        return Outcome(str(pending), Result.PROCESSED)

    def _take(self, image: ImageKey, stage: Stage) -> None:
        """Each image has the same chance to be in the sample (https://en.wikipedia.org/wiki/Reservoir_sampling)."""
        sample = self._sample.setdefault(stage, [])
        place = random.randrange(self.counted[stage] + 1)  # noqa: S311 - no secret
        self.counted[stage] += 1
        if len(sample) < _SAMPLE:
            sample.append(image)
        elif place < _SAMPLE:
            sample[place] = image

    async def summary(self, renderer: Renderer, active: Storage) -> str:
        """CPU hours for each stage, by rendering the sample. Writes nothing. Raises StorageFault, NoSuchKey."""
        lines = []
        for stage, sample in self._sample.items():
            before, rendered = renderer.pool.cpu_seconds, 0
            for image in sample:
                try:
                    async with active.as_file(str(image)) as path:
                        await renderer.render_stage(path, image, stage, await read_crop(active, image))
                except (Defect, ImageError, NoSuchKey):  # it cannot be rendered, or was deleted meanwhile
                    continue
                rendered += 1
            seconds = (renderer.pool.cpu_seconds - before) / max(rendered, 1)
            hours = seconds * self.counted[stage] / 3600
            lines.append(
                f"{stage}: {self.counted[stage]} images, about {hours:.2f} CPU hours "
                f"({seconds:.3f} s each, as {rendered} of them took here)"
            )
        return "\n".join(lines) or "There is nothing to render."
