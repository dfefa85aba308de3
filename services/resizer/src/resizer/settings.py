"""What resizer reads from the environment."""

import os
from pathlib import Path
from typing import Annotated

from pydantic import Field

from common.settings.base import BrokerSettings, ImagingSettings, SizeSettings
from resizer.deadlines import LONGEST_DEADLINE, MOST_WALL_SECONDS, background_deadline

# Where a container sees its own limit: cgroups of version 2, and of version 1.
_MEMORY_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
# For one upload and one image that can wait, and for one heavy image among all others. What large images take is in
# docs/performance.md#memory.
_BYTES_OF_WORKER = 512 << 20


def default_workers(cores: int, limits: tuple[Path, ...] = _MEMORY_LIMITS) -> int:
    """One more than there are cores: while one reads or writes, the others render; but no more than memory allows."""
    allowed = [int(text) for path in limits if path.exists() and (text := path.read_text().strip()).isdecimal()]
    return max(1, min([cores + 1, *(limit // _BYTES_OF_WORKER for limit in allowed)]))


class ResizerSettings(SizeSettings, ImagingSettings):
    """The settings of the resizer service, whatever bus it runs on."""

    resizer_workers: Annotated[int, Field(ge=1, le=256)] = Field(
        default_factory=lambda: default_workers(len(os.sched_getaffinity(0))),
        description="images that are rendered at once, each in a process of its own",
    )

    def contradictions(self) -> list[str]:
        """Those of all services, and a rendering that might go on while its image is removed."""
        lines = super().contradictions()
        if (seconds := background_deadline(self.limits)) > LONGEST_DEADLINE:
            lines.append(
                f"IMAGE_WALL_SECONDS {self.image_wall_seconds:g} lets a rendering on the bulk lane take {seconds:g} s: "
                f"expected {MOST_WALL_SECONDS:g} at most, or it could still write while its image is removed, "
                "one hour after INCOMING_TTL"
            )
        return lines


class ResizerServiceSettings(ResizerSettings, BrokerSettings):
    """The settings of resizer as a service of its own."""
