"""The settings of ingest."""

from typing import Annotated

from pydantic import Field

from common.settings.base import BrokerSettings, HttpSettings, ImagingSettings, SizeSettings
from common.settings.values import Boolean, Seconds

LONGEST_WAIT = 60  # seconds that the answer to an upload may wait; proxies give up on one that takes much longer


class IngestSettings(HttpSettings, SizeSettings, ImagingSettings):
    """The settings of ingest with any bus."""

    auto_orient_original: Boolean = Field(False, description="turn originals upright as their EXIF asks")
    strip_location: Boolean = Field(
        False, description="store originals without the location that their EXIF, XMP and IPTC tell"
    )
    max_upload_bytes: Annotated[int, Field(gt=0)] = Field(100 << 20, description="most bytes of an upload")
    upload_timeout: Seconds = Field(300.0, description="seconds an upload may take as a whole")
    upload_wait: Annotated[float, Field(ge=0, le=LONGEST_WAIT)] = Field(
        0.0, description="seconds an upload's answer may wait for its variants, unless the client says how long"
    )
    upload_idle_timeout: Seconds = Field(30.0, description="seconds an upload may stand still")


class IngestServiceSettings(IngestSettings, BrokerSettings):
    """The settings of ingest as a separate service, over RabbitMQ."""
