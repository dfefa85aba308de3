"""The only wiring of the resizer service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from common.lifecycle import Service
from common.messaging.bus import Bus, Subscription
from common.messaging.events import ImageUploaded, ThumbnailsRequested
from common.messaging.topology import RESIZER_BULK, RESIZER_FOLLOW_UP, RESIZER_LIVE, WorkQueue
from common.sandbox.pool import Pool
from common.storage.base import Buckets
from resizer.handlers import image_uploaded, retries_exhausted, thumbnails_requested
from resizer.rendering import Renderer
from resizer.settings import ResizerSettings
from resizer.thumbnails import ResizerContext

# A handler's deadline allows for two attempts to render, and for reading and writing a few objects. It stays below the
# half hour after which a broker delivers a message again.
_RENDERINGS = 2
_STORAGE_SECONDS = 180.0

# Decoders of lower priority need more time by the clock for the same work.
_BACKGROUND_SLOWDOWN = 6

# How many seconds a heavy image of the other lanes waits for its turn in its slot: half a million of them must not go
# round and round in their queue. A heavy upload goes back to its queue at once, so that its slot serves other uploads.
_BACKGROUND_PATIENCE = 60.0


@asynccontextmanager
async def resizer(settings: ResizerSettings, *, bus: Bus, buckets: Buckets) -> AsyncIterator[Service]:
    """The service, ready to be run.

    The live lane has decoders of its own, so that an upload always finds one. The follow-up and bulk lanes share
    others, which run at a lower priority. There the image that has waited longest is next. On either side heavy images
    are rendered one at a time. Neither side waits for the other.
    """
    workers = settings.resizer_workers
    background_limits = settings.limits.model_copy(
        update={"wall_seconds": _BACKGROUND_SLOWDOWN * settings.limits.wall_seconds}
    )
    async with (
        Pool.open(workers, settings.limits) as live_pool,
        Pool.open(workers, background_limits, background=True) as background_pool,
    ):
        await live_pool.start_one()  # a service that cannot decode shall not take events
        live = Renderer(live_pool, settings.plan, patience=0)
        background = Renderer(background_pool, settings.plan, patience=_BACKGROUND_PATIENCE)

        def subscription(queue: WorkQueue, renderer: Renderer) -> Subscription:
            context = ResizerContext(buckets=buckets, bus=bus, renderer=renderer)
            return Subscription(
                queue,
                {
                    ImageUploaded: partial(image_uploaded, context=context),
                    ThumbnailsRequested: partial(thumbnails_requested, context=context),
                },
                slots=workers,
                deadline=_RENDERINGS * renderer.pool.limits.wall_seconds + _STORAGE_SECONDS + (renderer.patience or 0),
                retries_exhausted=partial(retries_exhausted, context=context),
                trouble=renderer.pool.trouble,
            )

        def trouble() -> str | None:
            return live_pool.trouble() or background_pool.trouble()

        subscriptions = (
            subscription(RESIZER_LIVE, live),
            subscription(RESIZER_FOLLOW_UP, background),
            subscription(RESIZER_BULK, background),
        )
        yield Service(name="resizer", subscriptions=subscriptions, needs_broker=True, trouble=trouble)
