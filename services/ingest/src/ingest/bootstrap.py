"""The wiring of the ingest service."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from common.http import Route
from common.http.api import calls
from common.http.bodies import BodyLimits
from common.lifecycle import Service
from common.messaging.bus import Bus
from common.messaging.events import Event
from common.messaging.outbox import Outbox
from common.sandbox.pool import Pool
from common.sandbox.protocol import Limits
from common.storage.base import Buckets
from ingest.accept import UploadContext
from ingest.activity import Activity
from ingest.capabilities import ServiceCapabilities
from ingest.http.client_limits import ClientLimits
from ingest.http.page import activity_route, content_security_policy, index_route, page_file_route, read_page
from ingest.http.routes import capabilities_route, events_route, status_route, upload_route
from ingest.settings import IngestSettings
from ingest.streams import StatusStreams

# Reading a header takes a millisecond: two processes serve some hundred uploads a second, and one bad image does
# not make the others wait.
_WORKERS = 2
_HEADER_SECONDS = 5  # a header that takes longer is an attack, and must not delay the others


def _header_limits(limits: Limits) -> Limits:
    cpu, wall = min(limits.cpu_seconds, _HEADER_SECONDS), min(limits.wall_seconds, 3.0 * _HEADER_SECONDS)
    return replace(limits, cpu_seconds=cpu, wall_seconds=wall)


def _client_limits(settings: IngestSettings) -> ClientLimits:
    return ClientLimits(
        trusted=settings.trusted_proxies,
        uploads=settings.client_uploads,
        upload_bytes=max(settings.client_upload_bytes, settings.max_upload_bytes),  # one upload is always possible
        streams=settings.client_streams,
    )


def _page_routes(settings: IngestSettings, activity: Activity) -> tuple[Route, ...]:
    if not settings.demo_page:
        return ()
    page, policy = read_page(settings.storage), content_security_policy(settings.storage)
    return (
        Route(calls.PAGE, index_route(page, policy)),
        Route(calls.PAGE_ACTIVITY, activity_route(activity)),
        Route(calls.PAGE_FILE, page_file_route(page, policy)),
    )


@asynccontextmanager
async def ingest(settings: IngestSettings, *, bus: Bus, buckets: Buckets) -> AsyncIterator[Service]:
    """The service, ready to run."""
    outbox = Outbox(bus)
    limits = BodyLimits(settings.max_upload_bytes, settings.upload_timeout, settings.upload_idle_timeout)
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(Pool.open(_WORKERS, _header_limits(settings.limits), name="headers"))
        orient_pool = None
        if settings.auto_orient_original:
            orient_pool = await stack.enter_async_context(Pool.open(1, settings.limits, name="upright"))
        await pool.start_one()  # a service that cannot decode fails at its start

        def trouble() -> str | None:
            return pool.trouble() or (orient_pool.trouble() if orient_pool else None)

        streams, activity = StatusStreams(buckets, settings.plan), Activity(bus)

        def heard(event: Event) -> None:
            streams.on_event(event)
            activity.on_event(event)

        context = UploadContext(
            incoming=buckets.incoming,
            outbox=outbox,
            pool=pool,
            orient_pool=orient_pool,
            strip_location=settings.strip_location,
        )
        clients = _client_limits(settings)
        upload = upload_route(
            context,
            limits,
            settings.temp_folder,
            clients=clients,
            streams=streams,
            plan=settings.plan,
            wait=settings.upload_wait,
        )
        capabilities = ServiceCapabilities(settings, pool)
        yield Service(
            name="ingest",
            routes=(
                Route(calls.UPLOAD, upload),
                Route(calls.STATUS, status_route(buckets, settings.plan)),
                Route(calls.EVENTS, events_route(streams, clients)),
                Route(calls.CAPABILITIES, capabilities_route(capabilities)),
                *_page_routes(settings, activity),
            ),
            background=(outbox.run,),
            listener=heard,
            stopping=streams.close,
            trouble=trouble,
            proxies=settings.trusted_proxies,
        )
