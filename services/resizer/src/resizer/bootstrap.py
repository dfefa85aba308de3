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

# A rendering may be tried twice, and beside it, a handler reads and writes a few objects. The sum stays below the half
# hour after which a broker takes a message back.
_RENDERINGS = 2
_STORAGE_SECONDS = 180.0

# What gives way to uploads needs more time by the clock for the same work.
_PATIENCE = 6

# How many seconds a heavy image that can wait does so in a slot. One of an upload goes back to its queue at once: its
# slot is for uploads that can be rendered. Half a million of the others must not go round and round.
_BACKGROUND_TURN = 60.0


@asynccontextmanager
async def resizer(settings: ResizerSettings, *, bus: Bus, buckets: Buckets) -> AsyncIterator[Service]:
    """The service, ready to be run.

    Uploads have processes of their own, so that there is always a slot for one; what can wait shares the others, which
    give way. Between the modern formats and the bulk, whichever image has waited longer is next. Heavy images are
    rendered one at a time on either side, and never wait for the other.
    """
    workers = settings.resizer_workers
    patient = settings.limits.model_copy(update={"wall_seconds": _PATIENCE * settings.limits.wall_seconds})
    async with (
        Pool.open(workers, settings.limits) as live_pool,
        Pool.open(workers, patient, background=True) as background_pool,
    ):
        await live_pool.start_one()  # a service that cannot decode takes nothing from the start
        first = Renderer(live_pool, settings.plan, patience=0)
        second = Renderer(background_pool, settings.plan, patience=_BACKGROUND_TURN)

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
            subscription(RESIZER_LIVE, first),
            subscription(RESIZER_FOLLOW_UP, second),
            subscription(RESIZER_BULK, second),
        )
        yield Service(name="resizer", subscriptions=subscriptions, needs_broker=True, trouble=trouble)
