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
from resizer.deadlines import (
    BACKGROUND_TURN_WAIT,
    FETCH_WAIT,
    LIVE_TURN_WAIT,
    background_deadline,
    background_limits,
    live_deadline,
)
from resizer.handlers import image_uploaded, retries_exhausted, thumbnails_requested
from resizer.in_hand import OriginalsInHand
from resizer.rendering import Renderer
from resizer.settings import ResizerSettings
from resizer.thumbnails import ResizerContext

# Events in hand for each decoder of a lane. Rendering a photo takes 0.15 seconds of three decoders on two cores. Its
# store, 80 ms away, and the broker take 0.8 more, in which others are rendered (`make bench ARGS=distance`).
_SLOTS = 6


@asynccontextmanager
async def resizer(settings: ResizerSettings, *, bus: Bus, buckets: Buckets) -> AsyncIterator[Service]:
    """The service, ready to be run.

    The live lane has decoders of its own, so that an upload always finds one. The follow-up and bulk lanes share
    others, which run at a lower priority. There the image that has waited longest is next. On either side heavy images
    are rendered one at a time. Neither side waits for the other.
    """
    workers, limits = settings.resizer_workers, settings.limits
    async with (
        Pool.open(workers, limits, name="live") as live_pool,
        Pool.open(workers, background_limits(limits), background=True, name="background") as background_pool,
    ):
        await live_pool.start_one()  # a service that cannot decode shall not take events

        def renderer(pool: Pool, turn_wait: float) -> Renderer:
            return Renderer(pool, settings.plan, OriginalsInHand(workers, FETCH_WAIT), turn_wait=turn_wait)

        live, background = renderer(live_pool, LIVE_TURN_WAIT), renderer(background_pool, BACKGROUND_TURN_WAIT)

        def subscription(queue: WorkQueue, renderer: Renderer, deadline: float) -> Subscription:
            context = ResizerContext(buckets=buckets, bus=bus, renderer=renderer)
            return Subscription(
                queue,
                {
                    ImageUploaded: partial(image_uploaded, context=context),
                    ThumbnailsRequested: partial(thumbnails_requested, context=context),
                },
                slots=_SLOTS * workers,
                deadline=deadline,
                retries_exhausted=partial(retries_exhausted, context=context),
                trouble=renderer.pool.trouble,
            )

        def trouble() -> str | None:
            return live_pool.trouble() or background_pool.trouble()

        subscriptions = (
            subscription(RESIZER_LIVE, live, live_deadline(limits)),
            subscription(RESIZER_FOLLOW_UP, background, background_deadline(limits)),
            subscription(RESIZER_BULK, background, background_deadline(limits)),
        )
        yield Service(name="resizer", subscriptions=subscriptions, needs_broker=True, trouble=trouble)
