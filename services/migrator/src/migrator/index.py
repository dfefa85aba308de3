"""The images of the v5 database in a temporary SQLite file, so that memory stays constant for any number of them.

Their names come from the v5 database, the states of finished images from the checkpoint, and which images were deleted
from the tombstones.
"""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from common import jobs
from common.images.formats import Format
from common.images.names import BadName, ImageKey
from migrator.database import Row

_PAGE = 5_000  # images
_SCHEMA = """
    CREATE TABLE image (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, filename TEXT, svg INTEGER NOT NULL, other TEXT
    );
    CREATE TABLE done (name TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE deleted (name TEXT PRIMARY KEY) WITHOUT ROWID;
"""
# An image has the smallest id of its rows: rows are added in the order of their ids.
_ADD = """
    INSERT INTO image (id, name, filename, svg) VALUES (?, ?, ?, ?)
    ON CONFLICT (name) DO UPDATE SET svg = max(svg, excluded.svg),
    other = coalesce(other, CASE WHEN excluded.filename <> filename THEN excluded.filename END)
"""
_READ = """
    SELECT image.id, image.name, filename, svg, other, state, deleted.name IS NOT NULL
    FROM image LEFT JOIN done USING (name) LEFT JOIN deleted USING (name)
"""


@dataclass(frozen=True)
class ArchivedImage:
    """One image of the v5 database.

    `id` is the smallest id of its rows, and `filename` is the filename in that row. `is_svg` is True if any row says
    that the original is an SVG. `other_filename` is another filename with the same name. `state` is what the checkpoint
    holds for the image.
    """

    id: int
    name: str
    filename: str | None
    is_svg: bool
    other_filename: str | None = None
    state: str | None = None
    has_tombstone: bool = False

    def __str__(self) -> str:
        try:
            return str(self.key())
        except BadName:
            return self.filename or f"row {self.id}"

    def key(self) -> ImageKey:
        """The key of its original. Raises BadName."""
        key = ImageKey.parse(self.filename or "")
        return ImageKey(key.name, Format.SVG) if self.is_svg else key


class _IndexRow(NamedTuple):
    """A row of `_READ`."""

    id: int
    name: str
    filename: str | None
    svg: int
    other: str | None
    state: str | None
    deleted: int


class MigrationIndex(jobs.TemporaryIndex):
    """All images of a migration."""

    schema = _SCHEMA

    async def add_rows(self, rows: list[Row]) -> None:
        """Add rows of the database, in the order of their ids."""
        await self._run_for_each(_ADD, ((row.id, _name(row), row.filename, row.has_svg) for row in rows))

    async def add_done(self, states: Iterable[tuple[str, str]]) -> None:
        """Add names and their states. The last state of a name counts."""
        await self._run_for_each("INSERT OR REPLACE INTO done VALUES (?, ?)", states)

    async def add_deleted(self, names: Iterable[str]) -> None:
        """Add names that have a tombstone."""
        await self._run_for_each("INSERT OR IGNORE INTO deleted VALUES (?)", ((name,) for name in names))

    async def count(self) -> int:
        """How many images there are."""
        return await self._count("SELECT count(*) FROM image")

    async def of_name(self, name: str) -> ArchivedImage | None:
        """The image of this name, if v5 has it."""
        found = await self._fetch_rows(_IndexRow, f"{_READ} WHERE image.name = ?", name)
        return _archived_image(found[0]) if found else None

    async def pages(self, order: str) -> AsyncIterator[list[ArchivedImage]]:
        """All images in the order of their ids, `ASC` or `DESC`, a page at a time."""
        beyond, start = (">", -(2**31)) if order == "ASC" else ("<", 2**31)
        query = f"{_READ} WHERE id {beyond} ? ORDER BY id {order} LIMIT {_PAGE}"
        last = start
        while found := await self._fetch_rows(_IndexRow, query, last):
            last = found[-1].id
            yield [_archived_image(row) for row in found]


def _name(row: Row) -> str:
    """The name of the image: rows of one name are versions of one image."""
    try:
        return ImageKey.parse(row.filename or "").name
    except BadName:
        # The blank keeps it apart from the names of images.
        return f"row {row.id}" if row.filename is None else f"row of {row.filename}"


def _archived_image(row: _IndexRow) -> ArchivedImage:
    return ArchivedImage(row.id, row.name, row.filename, bool(row.svg), row.other, row.state, bool(row.deleted))
