"""The settings of ingest."""

from ipaddress import ip_network
from typing import Annotated

from pydantic import Field

from common.settings.base import BrokerSettings, HttpSettings, ImagingSettings, SizeSettings
from common.settings.values import Boolean, Networks, Seconds

LONGEST_WAIT = 60  # seconds that the answer to an upload may wait; proxies give up on one that takes much longer

# A client on the internet has none of these addresses: private, shared (RFC 6598), this machine's, of the link.
_PROXIES = (
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
)


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
    trusted_proxies: Networks = Field(
        tuple(map(ip_network, _PROXIES)),
        description="addresses and networks of proxies whose X-Forwarded-For is believed, separated by commas",
    )
    client_uploads: Annotated[int, Field(gt=0)] = Field(60, description="most uploads of one client at once")
    client_upload_bytes: Annotated[int, Field(gt=0)] = Field(
        400 << 20, description="most bytes of one client's uploads at once"
    )
    client_streams: Annotated[int, Field(gt=0)] = Field(100, description="most event streams of one client at once")
    demo_page: Boolean = Field(False, description="serve a page at `/` on which people watch photos go through")


class IngestServiceSettings(IngestSettings, BrokerSettings):
    """The settings of ingest as a separate service, over RabbitMQ."""
