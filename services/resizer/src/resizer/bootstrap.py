"""The only wiring of the resizer service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from common.bus import Bus, Subscription
from common.events import ImageUploaded, ThumbnailsRequested
from common.imaging.pool import Pool
from common.service import Service
from common.storage import Buckets
from common.topology import RESIZER_LIVE
from resizer.handlers import Resizing, gave_up, make_thumbnails
from resizer.settings import ResizerSettings

# Beside the rendering itself, a handler reads and writes a few objects.
_STORAGE_SECONDS = 180.0


@asynccontextmanager
async def resizer(settings: ResizerSettings, *, bus: Bus, buckets: Buckets) -> AsyncIterator[Service]:
    """The service, ready to be run."""
    async with Pool.open(settings.resizer_workers, settings.limits) as pool:
        resizing = Resizing(buckets=buckets, bus=bus, pool=pool, sizes=settings.resizing_config)
        handler = partial(make_thumbnails, resizing=resizing)
        live = Subscription(
            RESIZER_LIVE,
            {ImageUploaded: handler, ThumbnailsRequested: handler},
            slots=settings.resizer_workers,
            deadline=2 * settings.image_wall_seconds + _STORAGE_SECONDS,
            gave_up=partial(gave_up, resizing=resizing),
        )
        yield Service(name="resizer", subscriptions=(live,), needs_broker=True)
