"""The only wiring of the ingest service."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from common.http import Route
from common.http.bodies import BodyLimits
from common.imaging.capable import Capabilities, capable
from common.lifecycle import Service
from common.messaging.bus import Bus
from common.messaging.outbox import Outbox
from common.sandbox.pool import Pool
from common.sandbox.protocol import Job, Limits
from common.storage.base import Buckets
from ingest import api
from ingest.accept import UploadContext
from ingest.routes import capabilities_route, events_route, status_route, upload_route
from ingest.settings import IngestSettings
from ingest.watch import Watchers

# Reading a header takes a millisecond: two processes serve some hundred uploads a second, and one bad image does
# not make the others wait.
_WORKERS = 2
_HEADER_SECONDS = 5  # a header that takes longer is an attack, and must not hold up the others


def _quick(limits: Limits) -> Limits:
    cpu, wall = min(limits.cpu_seconds, _HEADER_SECONDS), min(limits.wall_seconds, 3.0 * _HEADER_SECONDS)
    return limits.model_copy(update={"cpu_seconds": cpu, "wall_seconds": wall})


class _Capabilities:
    """What this service can do, seen when it is first asked for."""

    def __init__(self, settings: IngestSettings, pool: Pool) -> None:
        self._settings = settings
        self._pool = pool
        self._seen: Capabilities | None = None

    async def __call__(self) -> dict[str, object]:
        settings, pool = self._settings, self._pool
        if self._seen is None:
            self._seen, _ = await pool.run(capable, Job(limits=pool.limits), Capabilities, None)
        wanted = [output.format for output in settings.plan.modern]
        return {
            "reads": self._seen.reads,
            "writes": self._seen.writes,
            "modern": [name for name in wanted if name in self._seen.writes],
            "limits": {"bytes": settings.max_upload_bytes, "pixels": settings.max_pixels},
            "sizes": [size.model_dump(mode="json") for size in settings.resizing_config],
        }


@asynccontextmanager
async def ingest(settings: IngestSettings, *, bus: Bus, buckets: Buckets) -> AsyncIterator[Service]:
    """The service, ready to be run."""
    outbox = Outbox(bus)
    limits = BodyLimits(settings.max_upload_bytes, settings.upload_timeout, settings.upload_idle_timeout)
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(Pool.open(_WORKERS, _quick(settings.limits)))
        turning = None
        if settings.auto_orient_original:
            turning = await stack.enter_async_context(Pool.open(1, settings.limits))
        await pool.start_one()  # a service that cannot decode says so from the start
        capabilities = _Capabilities(settings, pool)

        def trouble() -> str | None:
            return pool.trouble() or (turning.trouble() if turning else None)

        watchers = Watchers(buckets, settings.plan)
        uploads = UploadContext(
            incoming=buckets.incoming,
            outbox=outbox,
            pool=pool,
            turning=turning,
            strip_location=settings.strip_location,
        )
        yield Service(
            name="ingest",
            routes=(
                Route("POST", "/upload", upload_route(uploads, limits, settings.temp_folder), api.UPLOAD),
                Route("GET", "/status/{key}", status_route(buckets, settings.plan), api.STATUS),
                Route("GET", "/events/{key}", events_route(watchers), api.EVENTS),
                Route("GET", "/capabilities", capabilities_route(capabilities), api.CAPABILITIES),
            ),
            background=(outbox.run,),
            listener=watchers.on_event,
            stopping=watchers.close,
            trouble=trouble,
        )
