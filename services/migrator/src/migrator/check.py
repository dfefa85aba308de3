"""What `python -m migrator check` checks beside the common checks: the v5 database and the source of the originals."""

from collections.abc import AsyncIterator, Sequence
from functools import partial

from common.images.names import BadName, ImageKey
from common.storage.check import CheckFailed, CheckResult, try_step
from common.storage.temporary import temporary_path
from migrator.database import TABLE, Row, pages
from migrator.index import ArchivedImage
from migrator.settings import MigratorSettings
from migrator.source import OriginalMissing, OriginalRefused, Source, SourceFault, open_source

_SAMPLE = 5  # originals that are fetched; the check passes if the source has one of them
_TIMEOUT = 60.0  # seconds for each step


async def check_v5(settings: MigratorSettings) -> AsyncIterator[CheckResult]:
    """Read the first rows, reach the source, and fetch originals that the rows name."""
    rows: list[Row] = []
    yield await try_step(f"the table {TABLE} of the v5 database can be read", partial(_read, settings, rows), _TIMEOUT)
    reached = await try_step("the source of the originals can be reached", partial(_reach, settings), _TIMEOUT)
    yield reached
    if reached[1] is None and (images := _sample(rows)):
        yield await try_step("it has an original that the table names", partial(_fetch, settings, images), _TIMEOUT)


async def _read(settings: MigratorSettings, rows: list[Row]) -> None:
    async for page in pages(settings.v5_database_url):
        rows += page
        return


async def _reach(settings: MigratorSettings) -> None:
    async with open_source(settings):
        return


def _sample(rows: Sequence[Row]) -> list[ImageKey]:
    """Keys of originals, evenly spaced over the rows."""
    keys = []
    for row in rows:
        try:
            keys.append(ArchivedImage(row.id, "", row.filename, row.has_svg).key())
        except BadName:
            continue
    return keys[:: max(1, len(keys) // _SAMPLE)][:_SAMPLE]


async def _fetch(settings: MigratorSettings, images: list[ImageKey]) -> None:
    async with open_source(settings) as source:
        reasons = [reason for image in images if (reason := await _failure(source, image, settings)) is not None]
    if len(reasons) == len(images):
        raise CheckFailed(f"of {len(images)} that were asked for, none could be fetched: {reasons[-1]}")


async def _failure(source: Source, image: ImageKey, settings: MigratorSettings) -> str | None:
    """Why the original cannot be fetched, or None."""
    path = temporary_path(settings.temp_folder)
    try:
        await source.fetch(str(image), path)
    except (OriginalMissing, OriginalRefused, SourceFault) as fault:
        return f"{image}: {fault}"
    finally:
        path.unlink(missing_ok=True)
    return None
