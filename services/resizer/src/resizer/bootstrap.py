"""The only wiring of the resizer service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from common.bus import Bus, Subscription
from common.events import ImageUploaded, ThumbnailsRequested
from common.imaging.pool import Pool
from common.service import Service
from common.storage import Buckets
from common.topology import RESIZER_BULK, RESIZER_FOLLOW_UP, RESIZER_LIVE, WorkQueue
from resizer.handlers import Resizing, gave_up, make_thumbnails
from resizer.rendering import Renderer
from resizer.settings import ResizerSettings

# A rendering may be tried twice, and beside it, a handler reads and writes a few objects. The sum stays below the half
# hour after which a broker takes a message back.
_RENDERINGS = 2
_STORAGE_SECONDS = 180.0

# What gives way to uploads needs more time by the clock for the same work.
_PATIENCE = 6


@asynccontextmanager
async def resizer(settings: ResizerSettings, *, bus: Bus, buckets: Buckets) -> AsyncIterator[Service]:
    """The service, ready to be run.

    Uploads have processes of their own, so that there is always a slot for one; what can wait shares the others, which
    give way. Between the modern formats and the bulk, whichever image has waited longer is next. Heavy images are
    rendered one at a time on either side, and never wait for the other.
    """
    live, others = settings.resizer_workers, max(1, settings.resizer_workers - 1)
    patient = settings.limits.model_copy(update={"wall_seconds": _PATIENCE * settings.limits.wall_seconds})
    async with (
        Pool.open(live, settings.limits) as live_pool,
        Pool.open(others, patient, background=True) as background_pool,
    ):
        first = Renderer(live_pool, settings.plan)
        second = Renderer(background_pool, settings.plan)

        def subscription(queue: WorkQueue, renderer: Renderer, slots: int) -> Subscription:
            resizing = Resizing(buckets=buckets, bus=bus, renderer=renderer)
            handler = partial(make_thumbnails, resizing=resizing)
            return Subscription(
                queue,
                {ImageUploaded: handler, ThumbnailsRequested: handler},
                slots=slots,
                deadline=_RENDERINGS * renderer.pool.limits.wall_seconds + _STORAGE_SECONDS,
                gave_up=partial(gave_up, resizing=resizing),
            )

        subscriptions = (
            subscription(RESIZER_LIVE, first, live),
            subscription(RESIZER_FOLLOW_UP, second, others),
            subscription(RESIZER_BULK, second, others),
        )
        yield Service(name="resizer", subscriptions=subscriptions, needs_broker=True)
