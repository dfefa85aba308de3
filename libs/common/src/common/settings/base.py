"""Settings, from environment variables with the names that the existing backends use.

An empty value is unset. All settings that are missing or malformed are reported together, a line for each.
"""

import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import structlog
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, ValidationError

from common.errors import SettingsError
from common.images.formats import Format, Output
from common.images.plan import Plan
from common.images.sizes import Size, parse_sizes
from common.logs import LogLevel
from common.sandbox.protocol import Limits
from common.settings.accounts import account_errors
from common.settings.errors import error_lines
from common.settings.folders import default_folder, exposed, overlaps
from common.settings.secrets import read_secret_files
from common.settings.storage import (
    LocalStorageSettings,
    S3StorageSettings,
    StorageSettings,
    read_storage,
    storage_errors,
)
from common.settings.values import (
    Boolean,
    BrokerUrl,
    ChosenLogFormat,
    ChosenLogLevel,
    CollectorUrl,
    HeaderValue,
    Origins,
    Port,
    RoutePrefix,
    Seconds,
    UrlPath,
)

log = structlog.get_logger()

OBSOLETE = ("PREFER_IDENTIFY_OVER_FILE", "THUMBNAILS_PUBLISH_DELAY", "BUCKET_DATABASE_URL")


class Backend(StrEnum):
    """Where the buckets are."""

    LOCAL = "local"
    S3 = "s3"


class Settings(BaseModel):
    """What every service reads. A field's variable is its name in capitals.

    The fields of the buckets say what the variables hold; `storage` is what follows from them.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    service_port: Port = Field(8080, description="port of the HTTP endpoints")
    metrics_port: Port = Field(8081, description="port of the metrics, and of nothing else")
    metrics_path: UrlPath = Field("/metrics", description="path of the metrics")
    disable_prometheus_metrics: Boolean = Field(False, description="serve no metrics")
    log_level: ChosenLogLevel = Field(LogLevel.INFO, description="`debug`, `info`, `warning` or `error`")
    log_format: ChosenLogFormat | None = Field(None, description="`json` or `console`")
    shutdown_timeout: Seconds = Field(25.0, description="seconds to finish what is in hand after SIGTERM")
    otel_exporter_otlp_endpoint: CollectorUrl | None = Field(
        None, repr=False, description="URL of the collector of traces, without `/v1/traces`"
    )
    otel_exporter_otlp_traces_endpoint: CollectorUrl | None = Field(
        None, repr=False, description="the same with the whole path"
    )

    storage_backend: Backend = Field(description="`local` (folders) or `s3`")
    temp_folder: Path = Field(
        default_factory=default_folder,
        description="the folder for uploads and fetched originals while they are in hand",
    )
    incoming_folder: Path | None = Field(None, description="`local`: folder of the private bucket")
    active_folder: Path | None = Field(None, description="`local`: folder of the public bucket")
    incoming_bucket: str | None = Field(None, description="`s3`: name of the private bucket")
    active_bucket: str | None = Field(None, description="`s3`: name of the public bucket")
    incoming_prefix: str | None = Field(
        None, description="`s3`: PREFIX of the variables with the private bucket's account"
    )
    active_prefix: str | None = Field(
        None, description="`s3`: PREFIX of the variables with the public bucket's account"
    )
    s3_signature_version: Literal["s3v4", "s3"] = Field("s3v4", description="`s3v4` or `s3`")
    cache_control: HeaderValue = Field("public, max-age=3600", description="`Cache-Control` of public images")

    _storage: StorageSettings = PrivateAttr()

    def resolve(self, given: Mapping[str, str]) -> None:
        """Take from the variables what depends on several of them. They have been checked."""
        self._storage = read_storage(given, self.s3_signature_version)

    @property
    def storage(self) -> StorageSettings:
        """Where the buckets are, with their accounts."""
        return self._storage

    @property
    def traces_url(self) -> str | None:
        """Where traces are sent; None where no collector is named."""
        base = self.otel_exporter_otlp_endpoint
        return self.otel_exporter_otlp_traces_endpoint or (f"{base.rstrip('/')}/v1/traces" if base else None)

    def contradictions(self) -> list[str]:
        """A line for each two settings that cannot both be followed."""
        lines = []
        if self.service_port == self.metrics_port != 0 and not self.disable_prometheus_metrics:
            lines.append(f"METRICS_PORT {self.metrics_port} is SERVICE_PORT, too: expected a port of its own")
        if isinstance(self.storage, S3StorageSettings):
            if self.storage.incoming.is_same_bucket(self.storage.active):
                lines.append(
                    f"INCOMING_BUCKET {self.storage.incoming} and ACTIVE_BUCKET name one bucket: expected two, as what "
                    "is in the one is private, and what is in the other public"
                )
        else:
            lines += overlaps(self.folders)
        return lines

    @property
    def folders(self) -> dict[str, Path]:
        """The folders that services write to, by the settings that name them."""
        return {"TEMP_FOLDER": self.temp_folder} | self.bucket_folders

    @property
    def bucket_folders(self) -> dict[str, Path]:
        """Those that are the buckets; none on S3."""
        if isinstance(self.storage, LocalStorageSettings):
            return {"INCOMING_FOLDER": self.storage.incoming, "ACTIVE_FOLDER": self.storage.active}
        return {}


class BrokerSettings(Settings):
    """For services that talk over RabbitMQ."""

    rabbitmq_url: BrokerUrl = Field(
        repr=False, description="`amqp://USER:PASSWORD@HOST:PORT/VHOST`; several nodes are separated by commas"
    )


class HttpSettings(Settings):
    """For services that clients call."""

    route_prefix: RoutePrefix = Field("", description="goes before every path")
    allowed_origins: Origins = Field(("*",), description="origins whose pages may call, separated by commas, or `*`")


class SizeSettings(Settings):
    """For services that need to know which variants there are."""

    resizing_config: Annotated[tuple[Size, ...], BeforeValidator(parse_sizes)] = Field(
        default_factory=lambda: parse_sizes(None), description="a JSON list of the sizes of variants"
    )
    generate_webp: Boolean = Field(False, description="make every variant as WebP, too")
    generate_avif: Boolean = Field(False, description="make every variant as AVIF, too")
    webp_quality: Annotated[int, Field(ge=1, le=100)] = Field(93, description="quality of WebP, 1 to 100")
    webp_effort: Annotated[int, Field(ge=0, le=6)] = Field(4, description="effort of WebP, 0 (fast) to 6 (small)")
    avif_quality: Annotated[int, Field(ge=1, le=100)] = Field(83, description="quality of AVIF, 1 to 100")
    avif_effort: Annotated[int, Field(ge=0, le=9)] = Field(0, description="effort of AVIF, 0 (fast) to 9 (small)")

    @property
    def plan(self) -> Plan:
        """What is made of every image."""
        modern = []
        if self.generate_webp:
            modern.append(Output(format=Format.WEBP, quality=self.webp_quality, effort=self.webp_effort))
        if self.generate_avif:
            modern.append(Output(format=Format.AVIF, quality=self.avif_quality, effort=self.avif_effort))
        return Plan(self.resizing_config, tuple(modern))


class ImagingSettings(Settings):
    """For services that decode images. The limits are per image."""

    max_pixels: Annotated[int, Field(gt=0)] = Field(100_000_000, description="most pixels × frames of an image")
    image_memory_mb: Annotated[int, Field(ge=256)] = Field(1024, description="most memory for one image, in MiB")
    image_cpu_seconds: Annotated[int, Field(gt=0)] = Field(60, description="most CPU time for one image")
    image_wall_seconds: Seconds = Field(120.0, description="most time by the clock for one image")
    decoder_jobs: Annotated[int, Field(ge=0)] = Field(
        500, description="images after which a decoding process is replaced; 0: never because of the number"
    )
    sandbox: Literal["preferred", "required"] = Field(
        "preferred", description="`required`: do not start where Landlock or seccomp is missing; else warn and start"
    )

    def contradictions(self) -> list[str]:
        """Those of every service; and a line for each folder of images that decoders could read."""
        return super().contradictions() + exposed(self.folders)

    @property
    def limits(self) -> Limits:
        """The limits as the decoding processes take them."""
        return Limits(
            memory_mb=self.image_memory_mb,
            cpu_seconds=self.image_cpu_seconds,
            wall_seconds=self.image_wall_seconds,
            pixels=self.max_pixels,
            decoder_jobs=self.decoder_jobs,
            walls_required=self.sandbox == "required",
        )


S = TypeVar("S", bound=Settings)


def read_settings(kind: type[S], environment: Mapping[str, str] | None = None) -> S:
    """The settings in the environment. Raises SettingsError with a line for each that cannot be used."""
    given = {key: value for key, value in (os.environ if environment is None else environment).items() if value.strip()}
    for name in OBSOLETE:
        if name in given:
            log.warning("an obsolete setting is ignored", setting=name)
    contents, unread = read_secret_files(given, [name.upper() for name in kind.model_fields])
    given |= contents
    values: dict[str, Any] = {name: given[name.upper()] for name in kind.model_fields if name.upper() in given}
    lines = list(unread.values())
    settings: S | None = None
    try:
        settings = kind.model_validate(values)
    except ValidationError as error:
        lines += error_lines(kind, error, unread)
    lines += storage_errors(given) + account_errors(given, unread)
    if settings is not None and not lines:
        settings.resolve(given)
        lines += settings.contradictions()
    if lines or settings is None:
        raise SettingsError(lines)
    return settings
