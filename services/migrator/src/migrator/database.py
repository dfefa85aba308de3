"""The v5 database. No other module uses asyncpg.

The table has one row for each version of an image's page, so most images have several.
"""

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

import asyncpg

from common.errors import JobFault

TABLE = "app_images_archives"
_PAGE = 10_000  # rows
_CONNECT_SECONDS = 15.0
_QUERY_SECONDS = 120.0
_CLOSE_SECONDS = 2.0
_QUERY = f"""
    SELECT image_archive_id, filename, has_svg FROM {TABLE}
    WHERE image_archive_id > $1 ORDER BY image_archive_id LIMIT {_PAGE}
"""  # noqa: S608 - both are constants


@dataclass(frozen=True)
class Row:
    """The columns of a row that the migration needs."""

    id: int
    filename: str | None
    has_svg: bool


async def pages(url: str) -> AsyncIterator[list[Row]]:
    """All rows in the order of their ids, a page at a time. Raises JobFault."""
    where = urlsplit(url)
    place = f"the database {where.path.lstrip('/')} at {where.hostname}:{where.port or 5432}"
    try:
        connection = await asyncpg.connect(url, timeout=_CONNECT_SECONDS, command_timeout=_QUERY_SECONDS)
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
        raise JobFault(f"V5_DATABASE_URL: {place} cannot be used: {_short(error)}") from error
    try:
        last = -(2**31)
        while found := await connection.fetch(_QUERY, last):
            last = found[-1]["image_archive_id"]
            yield [Row(row["image_archive_id"], row["filename"], row["has_svg"] is True) for row in found]
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
        raise JobFault(f"the table {TABLE} in {place} cannot be read: {_short(error)}") from error
    finally:
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
            await connection.close(timeout=_CLOSE_SECONDS)


def _short(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
