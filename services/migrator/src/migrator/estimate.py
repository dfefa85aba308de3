"""What migrating would do, without doing it: images, bytes, and the time that it may take."""

import asyncio
import time
from dataclasses import dataclass, field

from common.images.names import BadName
from common.jobs import Outcome, Result
from common.jobs.thumbnails import ImageGone
from migrator.index import ArchivedImage
from migrator.migration import Migration, failure_class, fetch_original, raise_if_deleted, raise_if_vanished
from migrator.source import OriginalMissing, OriginalRefused, SourceFault

_SAMPLE = 8  # images that are fetched, to see how fast the source is
# CPU seconds that the base versions of a megabyte of JPEG take to render: `make bench`, the 12-megapixel photo.
_RENDER_SECONDS = 0.025
_MEGABYTE = 1e6


@dataclass
class Estimate:
    """Looks at images as `migrate` would, and adds up what it would have to do."""

    migration: Migration
    jobs: int
    to_fetch: int = 0
    to_render: int = 0
    _sampled: list[tuple[int, float]] = field(default_factory=list)
    _sampling: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def look(self, listed: ArchivedImage) -> Outcome:
        """How the image would probably end. Raises StorageFault."""
        buckets = self.migration.buckets
        try:
            image = listed.key()
            await raise_if_deleted(image, buckets)
            found = await buckets.active.stat(str(image))
            if found is not None:
                if not self.migration.force and not await self.migration.thumbnails.missing(image):
                    return Outcome(str(image), Result.SKIPPED)
                self.to_render += found.bytes
                return Outcome(str(image), Result.PROCESSED, bytes=found.bytes)
            raise_if_vanished(listed)
            size = await self._size(listed)
        except ImageGone:
            return Outcome(str(listed), Result.SKIPPED, "deleted")
        except (BadName, OriginalMissing, OriginalRefused, SourceFault) as error:
            return Outcome(str(listed), Result.ERROR, failure_class(error), str(error))
        self.to_fetch += size
        self.to_render += size
        return Outcome(str(image), Result.PROCESSED, bytes=size)

    def summary(self) -> str:
        """Bytes and times."""
        lines = [f"To fetch: {self.to_fetch / _MEGABYTE:,.1f} MB"]
        if any(size for size, _ in self._sampled):
            rate = sum(size for size, _ in self._sampled) / sum(seconds for _, seconds in self._sampled)
            hours = self.to_fetch / rate / self.jobs / 3600
            lines.append(f"Fetching takes about {hours:.2f} hours: {rate / _MEGABYTE:.1f} MB a second and job")
        cpu = self.to_render / _MEGABYTE * _RENDER_SECONDS / 3600
        lines.append(f"Rendering takes about {cpu:.2f} CPU hours, which the resizers share")
        return "\n".join(lines)

    async def _size(self, listed: ArchivedImage) -> int:
        image = listed.key()
        async with self._sampling:
            if len(self._sampled) < _SAMPLE:
                began = time.monotonic()
                async with fetch_original(image, self.migration) as (_, size):
                    pass
                self._sampled.append((size, time.monotonic() - began))
                return size
        async with self.migration.fetching:
            await self.migration.pace.wait_turn()
            return await self.migration.source.size(str(image)) or 0
