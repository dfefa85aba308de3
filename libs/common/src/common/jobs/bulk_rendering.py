"""Having public images rendered by the running resizers, on the bulk lane."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress

from common.errors import JobFault
from common.images.names import ImageKey
from common.images.plan import Plan
from common.images.records import Failure, Record, Stage, encode_record, record_key
from common.messaging.bus import Bus
from common.messaging.events import (
    Event,
    ImageUploaded,
    Lane,
    LaneData,
    RequestData,
    StageData,
    ThumbnailsFailed,
    ThumbnailsReady,
    ThumbnailsRequested,
)
from common.messaging.topology import RESIZER_BULK
from common.storage.base import Buckets
from common.storage.image_store import is_public, read_crop, read_record

_LOOK_INTERVAL = 5.0  # seconds between looks at an image of which no event comes
# Seconds after which a request is repeated if nothing waits for the resizers (twice as long each time), and after which
# no answer is expected any more. A transient fault is retried for 71 minutes.
_REPEAT_AFTER, _GIVE_UP_AFTER = 120.0, 7200.0


class ImageGone(Exception):
    """The image was deleted meanwhile."""


class BulkRendering:
    """Requests renderings of public images and waits for them. An event is only a reason to look at the buckets."""

    def __init__(self, buckets: Buckets, bus: Bus, plan: Plan, source: str) -> None:
        self._buckets = buckets
        self._bus = bus
        self._plan = plan
        self._source = source
        self._awaited: dict[str, asyncio.Event] = {}
        self._last_data: dict[str, StageData] = {}

    def on_event(self, event: Event) -> None:
        """Called with every event."""
        if isinstance(event, ThumbnailsReady | ThumbnailsFailed) and event.subject.name in self._awaited:
            self._last_data[event.subject.name] = event.data
            self._awaited[event.subject.name].set()

    async def missing_stages(self, image: ImageKey, stages: Sequence[Stage] | None = None) -> list[Stage]:
        """The stages without a record of today's settings; one that was given up for a passing fault counts as none.

        No stage is missing after one whose record says that the image cannot be rendered.
        """
        found: list[Stage] = []
        for stage in stages or self._plan.stages:
            record = await self._record(image, stage)
            if record is None or not record.is_final:
                found.append(stage)
            elif record.failed is not None:
                break
        return found

    async def read_failure(self, image: ImageKey, stages: Sequence[Stage] | None = None) -> Failure | None:
        """Why there are no thumbnails, by the records of today's settings."""
        for stage in stages or self._plan.stages:
            record = await self._record(image, stage)
            if record is not None and record.failed is not None:
                return record.failed
        return None

    async def is_damaged(self, image: ImageKey) -> bool:
        """Whether the original proved to be cut off, or to have errors, when today's thumbnails were made of it."""
        records = [await self._record(image, stage) for stage in self._plan.stages]
        return any(record is not None and record.damaged for record in records)

    async def remove_records(self, image: ImageKey, stages: Sequence[Stage], *, finished: bool) -> None:
        """Remove the stages' records of a rendering that was given up and, with `finished`, of one that ended.

        A stage without its record is pending work. So it is rendered again, even should all events be lost. A failure
        may be the only record that names public variants of earlier sizes: it stays, as one of other settings.
        docs/bucket-protocol.md#replaced-variants-go
        """
        for stage in stages:
            record = await self._record(image, stage)
            if record is None or (record.is_final and not finished):
                continue
            key = record_key(image, stage)
            if record.failed is not None and record.replaced:
                await self._buckets.active.put(key, encode_record(record.model_copy(update={"configuration": ""})))
            else:
                await self._buckets.active.delete(key)

    async def render(self, image: ImageKey, stages: Sequence[Stage]) -> Failure | None:
        """Have those of the stages rendered that have no record. Returns when that has ended: why it failed, or None.

        Raises ImageGone, StorageFault, BusFault, and JobFault when the resizers have other settings than this command.
        """
        # Originals of one name have one record between them, so that they take turns.
        while image.name in self._awaited:  # noqa: ASYNC110 - it hardly ever is
            await asyncio.sleep(_LOOK_INTERVAL)
        heard = self._awaited[image.name] = asyncio.Event()
        try:
            await self._request(image, stages)
            return await self._wait_for_end(image, stages, heard)
        finally:
            del self._awaited[image.name]
            self._last_data.pop(image.name, None)

    async def _request(self, image: ImageKey, stages: Sequence[Stage]) -> None:
        if Stage.BASE in stages:  # the resizer itself goes on with what comes after
            await self._bus.publish(ImageUploaded(source=self._source, subject=image, data=LaneData(lane=Lane.BULK)))
            return
        for stage in stages:
            data = RequestData(lane=Lane.BULK, stage=stage)
            await self._bus.publish(ThumbnailsRequested(source=self._source, subject=image, data=data))

    async def _wait_for_end(self, image: ImageKey, stages: Sequence[Stage], heard: asyncio.Event) -> Failure | None:
        began = requested = time.monotonic()
        repeat_after = _REPEAT_AFTER
        while time.monotonic() - began < _GIVE_UP_AFTER:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_INTERVAL):
                    await heard.wait()
            heard.clear()
            records = [await self._record(image, stage) for stage in stages]
            for record in records:
                if record is not None and record.failed is not None:
                    return record.failed
            if all(records):
                return None
            if not await is_public(image, buckets=self._buckets):
                raise ImageGone(f"{image} was deleted")
            await self._compare_settings(image)
            if time.monotonic() - requested > repeat_after and not await self._bus.depth(RESIZER_BULK):
                await self._request(
                    image, [stage for stage, record in zip(stages, records, strict=True) if record is None]
                )
                requested, repeat_after = time.monotonic(), 2 * repeat_after
        return Failure(fault="unanswered", reason=f"no resizer has answered in {_GIVE_UP_AFTER / 3600:g} hours")

    async def _compare_settings(self, image: ImageKey) -> None:
        data = self._last_data.pop(image.name, None)
        if data is None:
            return
        crop = await read_crop(self._buckets.active, image)
        if data.configuration not in (self._plan.configuration(data.stage), self._plan.configuration(data.stage, crop)):
            raise JobFault(
                f"the resizers run with other settings: expected those of this command ({data.stage} of {image}); "
                "RESIZING_CONFIG, GENERATE_WEBP, GENERATE_AVIF and their qualities have to be the same"
            )

    async def _record(self, image: ImageKey, stage: Stage) -> Record | None:
        """The stage's record, if it is of this very original and of today's settings."""
        record = await read_record(self._buckets.active, image, stage)
        if record is None or (record.original is not None and record.original.key != image):
            return None
        crop = await read_crop(self._buckets.active, image)
        return record if record.configuration == self._plan.configuration(stage, crop) else None
