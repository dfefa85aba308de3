"""What resizer reads from the environment."""

import os
from typing import Annotated

from pydantic import Field

from common.settings import BrokerSettings, ImagingSettings, SizeSettings


class ResizerSettings(SizeSettings, ImagingSettings):
    """The settings of the resizer service, whatever bus it runs on."""

    resizer_workers: Annotated[int, Field(ge=1, le=256)] = Field(
        # One more than there are cores: while one reads or writes, the others render.
        default_factory=lambda: len(os.sched_getaffinity(0)) + 1,
        description="images that are rendered at once, each in a process of its own",
    )


class ResizerServiceSettings(ResizerSettings, BrokerSettings):
    """The settings of resizer as a service of its own."""
