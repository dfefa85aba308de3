"""The only wiring of the publisher service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from common.http import Route
from common.http.api import calls
from common.lifecycle import Service
from common.messaging.bus import Bus, Subscription
from common.messaging.events import ActivationRequested, ThumbnailsFailed, ThumbnailsReady
from common.messaging.outbox import Outbox
from common.messaging.topology import PUBLISHER
from common.sandbox.pool import Pool
from common.storage.base import Buckets
from common.storage.local import LocalStorage
from publisher.context import EditContext, PublisherContext
from publisher.handlers import activation_requested, thumbnails_failed, thumbnails_ready
from publisher.http.routes import active_route, delete_route, publish_route, recrop_route, rotate_route
from publisher.maintenance.dead_letter_count import DeadLetterCount
from publisher.maintenance.reconciler import Reconciler
from publisher.maintenance.sweeper import Sweeper
from publisher.settings import PublisherSettings

# Handlers only move objects: what bounds them is the store, not the machine.
_SLOTS = 16
_DECODERS = 1  # edits are rare
_DEADLINE = 300.0  # seconds; well below the hour of grace that follows INCOMING_TTL


@asynccontextmanager
async def publisher(
    settings: PublisherSettings, *, bus: Bus, buckets: Buckets, repair_all_at_start: bool = False
) -> AsyncIterator[Service]:
    """The service, ready to be run. With `repair_all_at_start` it first repairs everything in both buckets."""
    outbox = Outbox(bus)
    async with Pool.open(_DECODERS, settings.limits, name="edits") as pool:
        context = EditContext(
            buckets=buckets,
            bus=bus,
            outbox=outbox,
            plan=settings.plan,
            ttl=settings.incoming_ttl,
            pool=pool,
            temporary=settings.temp_folder,
            edit_wait=settings.edit_wait,
        )
        reconciler = Reconciler(
            context,
            after=settings.reconcile_after,
            interval=settings.reconcile_interval,
            repair_all_at_start=repair_all_at_start,
            temporary=settings.temp_folder,
        )
        sweeper = Sweeper(context, interval=settings.clean_interval, temporary=settings.temp_folder)
        yield Service(
            name="publisher",
            routes=_routes(settings, context),
            subscriptions=(_subscription(context),),
            background=(outbox.run, reconciler.run, sweeper.run, DeadLetterCount(bus).run),
            trouble=pool.trouble,
        )


def _subscription(context: PublisherContext) -> Subscription:
    return Subscription(
        PUBLISHER,
        {
            ActivationRequested: partial(activation_requested, context=context),
            ThumbnailsReady: partial(thumbnails_ready, context=context),
            ThumbnailsFailed: partial(thumbnails_failed, context=context),
        },
        slots=_SLOTS,
        deadline=_DEADLINE,
    )


def _routes(settings: PublisherSettings, context: EditContext) -> tuple[Route, ...]:
    secret = settings.api_secret_key
    routes = [
        Route(calls.PUBLISH, publish_route(context, secret, settings.activation_wait)),
        Route(calls.RECROP, recrop_route(context, secret)),
        Route(calls.ROTATE, rotate_route(context, secret)),
        Route(calls.DELETE, delete_route(context, secret)),
    ]
    if isinstance(context.buckets.active, LocalStorage):
        handler = active_route(context.buckets.active, settings.cache_control)
        routes.append(Route(calls.ACTIVE, handler))
    return tuple(routes)
