"""The settings of the migrator."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, PrivateAttr
from yarl import URL

from common.settings.base import BrokerSettings, ImagingSettings, SizeSettings
from common.settings.folders import is_within
from common.settings.storage import BucketSettings, S3StorageSettings, read_bucket


def _upper(value: object) -> object:
    return value.strip().upper() if isinstance(value, str) else value


def _database(value: object) -> object:
    if isinstance(value, str):
        scheme, _, rest = value.partition("://")
        # `postgresql+psycopg2://` is how the old backends' library names its driver.
        if scheme.partition("+")[0] not in ("postgresql", "postgres") or not _is_address(rest):
            raise ValueError("expected postgresql://USER:PASSWORD@HOST:PORT/DATABASE, special characters as %XX")
        return f"postgresql://{rest}"
    return value


def _is_address(rest: str) -> bool:
    """Whether it has a host, and an @ nowhere else: part of the password would be read as the path, and printed."""
    where = urlsplit(f"//{rest}")
    try:
        port_is_number = where.port is None or where.port > 0
    except ValueError:
        return False
    return bool(where.hostname) and port_is_number and "@" not in where.path + where.query + where.fragment


def _images(value: object) -> object:
    if isinstance(value, str) and "://" in value:
        where = URL(value)
        if where.scheme not in ("http", "https", "s3") or not where.host:
            raise ValueError("expected http://HOST/PATH, https://, a folder, or s3://BUCKET/PREFIX")
    return value


@dataclass(frozen=True)
class WebSourceSettings:
    """A web server that has v5's originals below this address."""

    address: str


@dataclass(frozen=True)
class FolderSourceSettings:
    """A folder with v5's originals."""

    folder: Path


@dataclass(frozen=True)
class BucketSourceSettings:
    """A bucket on an S3 server, where the keys of v5's originals begin with `key_prefix`."""

    bucket: BucketSettings
    key_prefix: str


SourceSettings = WebSourceSettings | FolderSourceSettings | BucketSourceSettings


class MigratorSettings(SizeSettings, ImagingSettings):
    """The settings of the migrator with any bus."""

    v5_database_url: Annotated[str, BeforeValidator(_database)] = Field(
        repr=False, description="`postgresql://USER:PASSWORD@HOST:PORT/DATABASE` of the v5 database"
    )
    v5_order: Annotated[Literal["ASC", "DESC"], BeforeValidator(_upper)] = Field(
        "ASC", description="`ASC`: the oldest images first, or `DESC`"
    )
    v5_images: Annotated[str, BeforeValidator(_images)] = Field(
        repr=False,
        description="the place where v5 keeps its originals: `http(s)://HOST/PATH`, a folder, or `s3://BUCKET/PREFIX`",
    )
    v5_prefix: str | None = Field(None, description="`s3://`: PREFIX of the variables with the account of V5_IMAGES")

    _source: SourceSettings = PrivateAttr()

    def resolve(self, given: Mapping[str, str]) -> None:
        """Take the account of the source, too."""
        super().resolve(given)
        where = urlsplit(self.v5_images)
        if where.scheme in ("http", "https"):
            self._source = WebSourceSettings(self.v5_images)
        elif where.scheme == "s3":
            bucket = read_bucket(where.netloc, self.v5_prefix, given, self.s3_signature_version)
            self._source = BucketSourceSettings(bucket, where.path.strip("/"))
        else:
            self._source = FolderSourceSettings(Path(self.v5_images))

    @property
    def source(self) -> SourceSettings:
        """Where v5 keeps its originals, with the account."""
        return self._source

    def contradictions(self) -> list[str]:
        """Those of all services, and a source that is one of our buckets: the sweep would remove v5's originals."""
        lines = super().contradictions()
        source, storage = self.source, self.storage
        if (
            isinstance(source, BucketSourceSettings)
            and isinstance(storage, S3StorageSettings)
            and not source.key_prefix
        ):
            lines += [
                f"V5_IMAGES names the bucket that {name}_BUCKET names: expected another one, or a prefix in it"
                for name, bucket in (("INCOMING", storage.incoming), ("ACTIVE", storage.active))
                if source.bucket.is_same_bucket(bucket)
            ]
        elif isinstance(source, FolderSourceSettings):
            images = source.folder
            lines += [
                f"V5_IMAGES {images} is the same folder as {name} {folder}: expected another one"
                for name, folder in self.folders.items()
                if is_within(images, folder) and is_within(folder, images)
            ]
        return lines


class MigratorServiceSettings(MigratorSettings, BrokerSettings):
    """The settings of the migrator over RabbitMQ."""
