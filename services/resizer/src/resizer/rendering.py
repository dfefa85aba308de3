"""Rendering one stage of an original that is at hand as a file, and the record of it."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from common.images.names import ImageKey
from common.images.plan import Plan
from common.images.records import Original, Record, Stage, Variant
from common.images.sizes import Crop
from common.imaging.pool import Pool
from common.imaging.probe import Header, probe
from common.imaging.protocol import Job
from resizer.operations.render import Rendered, RenderJob, render

_LARGE = 1 << 20  # bytes


@dataclass(frozen=True)
class Renderer:
    """Where images are rendered, and into what."""

    pool: Pool
    plan: Plan
    # Held while a heavy image is rendered, so that memory does not grow with the number of processes.
    heavy: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def render(
        self, path: Path, image: ImageKey, stage: Stage, crop: Crop | None = None
    ) -> tuple[Record, list[bytes]]:
        """The stage's record, and its variants' bytes in the order of the record. Raises ImageError."""
        size = (await asyncio.to_thread(path.stat)).st_size
        outputs = self.plan.outputs(image, stage)
        job = RenderJob(path=path, limits=self.pool.limits, sizes=self.plan.sizes, outputs=outputs, crop=crop)
        # Only a large file can hold a heavy image, and asking costs a millisecond.
        if size > _LARGE and await self._is_heavy(path):
            async with self.heavy:
                rendered, blobs = await self.pool.run(render, job, Rendered)
        else:
            rendered, blobs = await self.pool.run(render, job, Rendered)
        variants = tuple(
            Variant(
                key=image.variant(made.suffix, made.format),
                format=made.format,
                width=made.width,
                height=made.height,
                bytes=len(blob),
            )
            for made, blob in zip(rendered.variants, blobs, strict=True)
        )
        base = stage is Stage.BASE
        record = Record(
            stage=stage,
            configuration=self.plan.configuration(stage, crop),
            original=Original(
                key=image, width=rendered.width, height=rendered.height, frames=rendered.frames, bytes=size
            ),
            variants=variants,
            damaged=rendered.damaged,
            crop=None if crop is None else crop.geometry.text,
            thumbhash=rendered.thumbhash if base else None,
            colour=rendered.colour if base else None,
        )
        return record, blobs

    async def _is_heavy(self, path: Path) -> bool:
        header, _ = await self.pool.run(probe, Job(path=path, limits=self.pool.limits), Header)
        return header.heavy
