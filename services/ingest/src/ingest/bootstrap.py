"""The only wiring of the ingest service."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from aiohttp import web

from common.bus import Bus
from common.http.bodies import BodyLimits
from common.imaging.pool import Pool
from common.imaging.protocol import Limits
from common.outbox import Outbox
from common.service import Service
from common.storage import Buckets
from ingest.handlers import Uploads
from ingest.routes import upload_route
from ingest.settings import IngestSettings

# Reading a header takes a millisecond: two processes serve some hundred uploads a second, and one bad image does
# not make the others wait.
_WORKERS = 2
_HEADER_SECONDS = 5  # a header that takes longer is an attack, and must not hold up the others


def _quick(limits: Limits) -> Limits:
    cpu, wall = min(limits.cpu_seconds, _HEADER_SECONDS), min(limits.wall_seconds, 3.0 * _HEADER_SECONDS)
    return limits.model_copy(update={"cpu_seconds": cpu, "wall_seconds": wall})


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
        uploads = Uploads(incoming=buckets.incoming, outbox=outbox, pool=pool, turning=turning)
        yield Service(
            name="ingest",
            routes=(web.post("/upload", upload_route(uploads, limits, settings.temp_folder)),),
            background=(outbox.run,),
        )
