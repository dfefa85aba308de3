"""What `GET /capabilities` answers: the version, the formats that can be read and written, the limits and the sizes."""

from dataclasses import asdict

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

    async def __call__(self) -> dict[str, object]:
        """The answer. Raises what the pool raises."""
        settings, pool = self._settings, self._pool
        if self._tried is None:
            self._tried, _ = await pool.run(capable, Job(limits=pool.limits), Capabilities, None)
        wanted = [output.format for output in settings.plan.modern]
        return {
            "version": VERSION,
            "reads": self._tried.reads,
            "writes": self._tried.writes,
            "walls": None if pool.walls is None else asdict(pool.walls),
            "modern": [name for name in wanted if name in self._tried.writes],
            "limits": {"bytes": settings.max_upload_bytes, "pixels": settings.max_pixels},
            "sizes": [asdict(size) for size in settings.resizing_config],
        }
