"""Rendering one stage of an original from a local file, and the stage's record."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from common import metrics, tracing
from common.errors import Postponed
from common.images.names import ImageKey
from common.images.plan import Plan
from common.images.records import OriginalInfo, Record, Stage, Variant
from common.images.sizes import Crop
from common.sandbox.pool import Pool
from resizer.in_hand import OriginalsInHand
from resizer.operations.render import Rendered, RenderedUnlessHeavy, RenderJob, render, render_unless_heavy

_MOST_KNOWN = 10_000  # images; one that is forgotten is fetched once more in vain
_NOT_YET = "another large progressive or interlaced image is being rendered"


@dataclass(frozen=True)
class Renderer:
    """Where images are rendered, and by which plan.

    Heavy images are rendered one at a time, so that memory does not grow with the number of processes. `turn_wait` is
    how many seconds an image waits for its turn before it is postponed; None: as long as it takes.
    """

    pool: Pool
    plan: Plan
    in_hand: OriginalsInHand = field(default_factory=lambda: OriginalsInHand(decoders=1))
    heavy_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    turn_wait: float | None = None
    _postponed: set[ImageKey] = field(default_factory=set)

    async def render_stage(
        self, path: Path, image: ImageKey, stage: Stage, crop: Crop | None = None
    ) -> tuple[Record, list[bytes]]:
        """The stage's record, and its variants' bytes in the order of the record.

        Raises ImageError, Transient, and Postponed for a heavy image whose turn does not come.
        """
        size = path.stat().st_size  # noqa: ASYNC240 - the pool opens the file here, too
        outputs = self.plan.outputs(image, stage)
        job = RenderJob(limits=self.pool.limits, sizes=self.plan.sizes, outputs=outputs, crop=crop)
        count_cpu = metrics.RENDER_CPU.labels(image.format, stage).inc
        with tracing.span(f"render {stage}"):
            rendered, blobs = await self._run(job, path, image, count_cpu)
            _record_steps(rendered)
        variants = tuple(
            Variant(
                key=image.variant_key(made.suffix, made.format),
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
            original=OriginalInfo(
                key=image, width=rendered.width, height=rendered.height, frames=rendered.frames, bytes=size
            ),
            variants=variants,
            damaged=rendered.damaged,
            crop=None if crop is None else crop.geometry.text,
            thumbhash=rendered.thumbhash if base else None,
            colour=rendered.colour if base else None,
            traceparent=tracing.traceparent(),
        )
        return record, blobs

    async def _run(
        self, job: RenderJob, path: Path, image: ImageKey, count_cpu: Callable[[float], None]
    ) -> tuple[Rendered, list[bytes]]:
        unless_heavy, blobs = await self.pool.run(
            render_unless_heavy, job, RenderedUnlessHeavy, path, count_cpu=count_cpu
        )
        if unless_heavy.rendered is not None:
            return unless_heavy.rendered, blobs
        async with self._hold_turn(image):
            return await self.pool.run(render, job, Rendered, path, count_cpu=count_cpu)

    def check_turn(self, image: ImageKey) -> None:
        """Raises Postponed for an image that would be postponed again, before its original is fetched in vain."""
        if image in self._postponed and self.heavy_lock.locked():
            raise Postponed(_NOT_YET)

    @asynccontextmanager
    async def _hold_turn(self, image: ImageKey) -> AsyncIterator[None]:
        try:
            with metrics.HEAVY_WAITING.track_inprogress():
                async with asyncio.timeout(self.turn_wait):
                    await self.heavy_lock.acquire()
        except TimeoutError as error:
            if len(self._postponed) >= _MOST_KNOWN:
                self._postponed.clear()
            self._postponed.add(image)
            raise Postponed(_NOT_YET) from error
        self._postponed.discard(image)
        try:
            yield
        finally:
            self.heavy_lock.release()


def _record_steps(rendered: Rendered) -> None:
    """Make spans of what the decoding process says of its steps. It has just ended, and its last step with it."""
    steps = [("decode", period) for period in rendered.decodings]
    steps += [(f"variant {made.suffix}.{made.format}", made.period) for made in rendered.variants]
    last = max((period.end for _, period in steps), default=0.0)
    for name, period in steps:
        tracing.record(name, period.end - period.begin, until=last - period.end)
