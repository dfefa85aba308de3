"""What a migration would take: images, bytes and time. Nothing is stored."""

import asyncio
import time
from dataclasses import dataclass, field

from common.images.names import BadName
from common.jobs import Outcome, Result
from common.jobs.bulk_rendering import ImageGone
from migrator.index import ArchivedImage
from migrator.migration import Migration, failure_class, fetch_original, raise_if_deleted, raise_if_vanished
from migrator.source import OriginalMissing, OriginalRefused, SourceFault

_SAMPLE = 8  # images that are fetched to measure how fast the source is
# CPU seconds for rendering the base variants of a megabyte of JPEG. Measured by `make bench` on the 12-megapixel photo.
_RENDER_SECONDS = 0.025
_MEGABYTE = 1e6


@dataclass
class MigrationEstimate:
    """Looks at images as `migrate_image` does, and adds up what would be fetched and rendered, in bytes.

    `jobs` is how many originals would be fetched at once.
    """

    migration: Migration
    jobs: int
    to_fetch: int = 0
    to_render: int = 0
    _sampled: list[tuple[int, float]] = field(default_factory=list)  # bytes and seconds of each fetch
    _sampling: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def add(self, archived: ArchivedImage) -> Outcome:
        """Add the image to the estimate. Returns the outcome that its migration would probably have.

        Raises StorageFault.
        """
        buckets = self.migration.buckets
        try:
            image = archived.key()
            await raise_if_deleted(image, buckets)
            public = await buckets.active.stat(str(image))
            if public is not None:
                if not self.migration.force and not await self.migration.rendering.missing_stages(image):
                    return Outcome(str(image), Result.SKIPPED)
                self.to_render += public.bytes
                return Outcome(str(image), Result.PROCESSED, bytes=public.bytes)
            raise_if_vanished(archived)
            size = await self._size(archived)
        except ImageGone:
            return Outcome(str(archived), Result.SKIPPED, remark="deleted")
        except (BadName, OriginalMissing, OriginalRefused, SourceFault) as error:
            return Outcome(str(archived), Result.ERROR, failure_class(error), str(error))
        self.to_fetch += size
        self.to_render += size
        return Outcome(str(image), Result.PROCESSED, bytes=size)

    def summary(self) -> str:
        """The lines that a dry run prints: bytes to fetch, and hours for fetching and rendering."""
        lines = [f"To fetch: {self.to_fetch / _MEGABYTE:,.1f} MB"]
        if any(size for size, _ in self._sampled):
            rate = sum(size for size, _ in self._sampled) / sum(seconds for _, seconds in self._sampled)
            hours = self.to_fetch / rate / self.jobs / 3600
            lines.append(f"Fetching takes about {hours:.2f} hours: {rate / _MEGABYTE:.1f} MB a second and job")
        cpu = self.to_render / _MEGABYTE * _RENDER_SECONDS / 3600
        lines.append(f"Rendering takes about {cpu:.2f} CPU hours, which the resizers share")
        return "\n".join(lines)

    async def _size(self, archived: ArchivedImage) -> int:
        image = archived.key()
        async with self._sampling:
            if len(self._sampled) < _SAMPLE:
                began = time.monotonic()
                async with fetch_original(image, self.migration) as (_, size):
                    pass
                self._sampled.append((size, time.monotonic() - began))
                return size
        async with self.migration.fetch_slots:
            await self.migration.rate_limit.wait_turn()
            return await self.migration.source.size(str(image)) or 0
