"""What migrator reads from the environment."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field
from yarl import URL

from common.settings.accounts import one_bucket
from common.settings.base import Backend, BrokerSettings, ImagingSettings, SizeSettings
from common.settings.folders import is_within


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
    """Whether it has a host, and no password that begins the path: such a part of it would be printed."""
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


class MigratorSettings(SizeSettings, ImagingSettings, BrokerSettings):
    """The settings of the migrator."""

    v5_database_url: Annotated[str, BeforeValidator(_database)] = Field(
        description="`postgresql://USER:PASSWORD@HOST:PORT/DATABASE` of the v5 database"
    )
    v5_order: Annotated[Literal["ASC", "DESC"], BeforeValidator(_upper)] = Field(
        "ASC", description="`ASC`: the oldest images first, or `DESC`"
    )
    v5_images: Annotated[str, BeforeValidator(_images)] = Field(
        description="the place where v5 keeps its originals: `http(s)://HOST/PATH`, a folder, or `s3://BUCKET/PREFIX`"
    )
    v5_prefix: str | None = Field(None, description="`s3://`: PREFIX of the variables with the account of V5_IMAGES")

    def contradictions(self, environment: Mapping[str, str]) -> list[str]:
        """Those of all services, and of a source that the migration itself, or a sweep, would remove originals from."""
        lines = super().contradictions(environment)
        where = urlsplit(self.v5_images)
        if where.scheme == "s3" and not where.path.strip("/"):
            source = {**environment, "V5_BUCKET": where.netloc}
            lines += [
                f"V5_IMAGES names the bucket that {which}_BUCKET names: expected another one, or a prefix in it"
                for which in ("INCOMING", "ACTIVE")
                if self.storage_backend is Backend.S3 and one_bucket(source, "V5", which)
            ]
        elif not where.scheme:
            images = Path(self.v5_images)
            lines += [
                f"V5_IMAGES {images} is the same folder as {name} {folder}: expected another one"
                for name, folder in self.folders.items()
                if is_within(images, folder) and is_within(folder, images)
            ]
        return lines
