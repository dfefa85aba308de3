"""The only wiring of the ingest service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from common.bus import Bus
from common.imaging.pool import Pool
from common.outbox import Outbox
from common.service import Service
from common.storage import Buckets
from ingest.handlers import Uploads
from ingest.routes import upload_route
from ingest.settings import IngestSettings
from ingest.upload import UploadLimits

# Reading a header takes a millisecond: two processes serve some hundred uploads a second, and one bad image does
# not make the others wait.
_WORKERS = 2


@asynccontextmanager
async def ingest(settings: IngestSettings, *, bus: Bus, buckets: Buckets) -> AsyncIterator[Service]:
    """The service, ready to be run."""
    outbox = Outbox(bus)
    limits = UploadLimits(settings.max_upload_bytes, settings.upload_timeout, settings.upload_idle_timeout)
    async with Pool.open(_WORKERS, settings.limits) as pool:
        uploads = Uploads(
            incoming=buckets.incoming, outbox=outbox, pool=pool, auto_orient=settings.auto_orient_original
        )
        yield Service(
            name="ingest",
            routes=(web.post("/upload", upload_route(uploads, limits, settings.temp_folder)),),
            background=(outbox.run,),
        )
