"""What `GET /capabilities` answers: the version, the formats that can be read and written, the limits and the sizes."""

from common.http.api.models import CapabilitiesAnswer, UploadLimits
from common.imaging.capable import Capabilities, capable
from common.sandbox.pool import Pool
from common.sandbox.protocol import Job
from common.version import VERSION
from ingest.settings import IngestSettings


class ServiceCapabilities:
    """The capabilities of this service. A decoder tries the formats at the first call; the result is kept."""

    def __init__(self, settings: IngestSettings, pool: Pool) -> None:
        self._settings = settings
        self._pool = pool
        self._tried: Capabilities | None = None

    async def __call__(self) -> CapabilitiesAnswer:
        """The answer. Raises what the pool raises."""
        settings, pool = self._settings, self._pool
        if self._tried is None:
            self._tried, _ = await pool.run(capable, Job(limits=pool.limits), Capabilities, None)
        wanted = [output.format for output in settings.plan.modern]
        return CapabilitiesAnswer(
            version=VERSION,
            reads=self._tried.reads,
            writes=self._tried.writes,
            walls=pool.walls,
            modern=[name for name in wanted if name in self._tried.writes],
            limits=UploadLimits(bytes=settings.max_upload_bytes, pixels=settings.max_pixels),
            sizes=settings.resizing_config,
        )
