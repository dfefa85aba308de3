"""The only wiring of the resizer service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from common.errors import JobFault
from common.jobs import Options, Result, Thumbnails, open_tally, process_all
from common.lifecycle import Service
from common.messaging.bus import Bus, Subscription
from common.messaging.events import ImageUploaded, ThumbnailsRequested
from common.messaging.topology import RESIZER_BULK, RESIZER_FOLLOW_UP, RESIZER_LIVE, WorkQueue
from common.sandbox.pool import Pool
from common.storage.base import Buckets
from common.wiring import open_buckets, open_bus, wait_for_broker
from resizer.estimate import Estimate
from resizer.handlers import ResizerContext, make_thumbnails, retries_exhausted
from resizer.regeneration import Regeneration, Selection, pending_images, regenerate, selected
from resizer.rendering import Renderer
from resizer.settings import ResizerServiceSettings, ResizerSettings

# A rendering may be tried twice, and beside it, a handler reads and writes a few objects. The sum stays below the half
# hour after which a broker takes a message back.
_RENDERINGS = 2
_STORAGE_SECONDS = 180.0

# What gives way to uploads needs more time by the clock for the same work.
_PATIENCE = 6

# How many seconds a heavy image that can wait does so in a slot. One of an upload goes back to its queue at once: its
# slot is for uploads that can be rendered. Half a million of the others must not go round and round.
_BACKGROUND_TURN = 60.0

# Images of a `resize` that are being rendered: enough for the resizers never to wait.
_IN_FLIGHT = 128


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
            handler = partial(make_thumbnails, context=context)
            return Subscription(
                queue,
                {ImageUploaded: handler, ThumbnailsRequested: handler},
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


async def resize(settings: ResizerServiceSettings, options: Options, selection: Selection) -> int:
    """Have the resizers make public images' thumbnails anew.

    Returns 0 when every image ended well, else 1. Raises JobFault when it cannot run, or go on.
    """
    if selection.stage is not None and selection.stage not in settings.plan.stages:
        raise JobFault("--stage modern: expected GENERATE_WEBP or GENERATE_AVIF to be set")
    async with open_buckets(settings) as buckets, open_bus(settings, "resize") as bus:
        await buckets.check()
        thumbnails = Thumbnails(buckets, bus, settings.plan, "/resizer")
        stages = tuple(stage for stage in settings.plan.stages if selection.stage in (None, stage))
        regeneration = Regeneration(buckets, thumbnails, selection, stages, options.jobs)
        total = 0
        async for _ in selected(buckets.active, selection):
            total += 1
        if selection.key is not None and not total:
            raise JobFault(f"{selection.key} is not public: expected the name of an image in the public bucket")
        with open_tally(total, options) as tally:
            found = pending_images(tally, options.limit, regeneration=regeneration)
            if options.dry_run:
                pricing = Estimate()
                await process_all(found, pricing.count, tally.add, at_once=1)
                async with Pool.open(1, settings.limits) as pool:
                    tally.print_line(await pricing.summary(Renderer(pool, settings.plan), buckets.active))
                return 0
            await bus.consume((), thumbnails.on_event)
            await wait_for_broker(bus)
            await process_all(found, partial(regenerate, regeneration=regeneration), tally.add, at_once=_IN_FLIGHT)
    return 1 if tally.results[Result.ERROR] else 0
