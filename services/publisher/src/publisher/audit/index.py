"""What both buckets hold of each image, and what the site's database knows, a page at a time."""

from collections.abc import AsyncIterator, Iterable
from typing import NamedTuple

from common import jobs
from common.images.plan import Plan
from publisher.audit.findings import ImageObjects, PossibleFinding, possible_findings

INCOMING, ACTIVE, DOCUMENTS = "incoming", "active", "documents"
_PAGE = 5_000  # images
# Of each key only what follows the name is kept: half a million images are some 50 MB.
_SCHEMA = """
    CREATE TABLE image (
        name TEXT, place TEXT, endings TEXT NOT NULL, age REAL NOT NULL, PRIMARY KEY (name, place)
    ) WITHOUT ROWID;
    CREATE TABLE deleted (name TEXT PRIMARY KEY) WITHOUT ROWID;
"""
_ADD = """
    INSERT INTO image (name, place, endings, age) VALUES (?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET endings = endings || ' ' || excluded.endings, age = min(age, excluded.age)
"""
_READ = f"""
    SELECT name, min(age), EXISTS (SELECT * FROM deleted WHERE deleted.name = image.name),
        max(CASE place WHEN '{INCOMING}' THEN endings END),
        max(CASE place WHEN '{ACTIVE}' THEN endings END),
        max(CASE place WHEN '{DOCUMENTS}' THEN endings END)
    FROM image WHERE name > ? GROUP BY name ORDER BY name LIMIT {_PAGE}
"""  # noqa: S608 - of constants alone


class _Row(NamedTuple):
    """A row of `_READ`. Of the last three columns, each has what follows the name in the keys of one place."""

    name: str
    age: float
    deleted: int
    incoming: str | None
    active: str | None
    documents: str | None

    def keys(self, endings: str | None) -> frozenset[str]:
        return frozenset(f"{self.name}{ending}" for ending in (endings or "").split())


class BucketIndex(jobs.TemporaryIndex):
    """Keys by the names of their images, and the tombstones."""

    schema = _SCHEMA

    async def add(self, place: str, keys: Iterable[tuple[str, str, float]]) -> None:
        """Add keys of this place, each as the name of its image, the key and its age in seconds."""
        await self._run_for_each(_ADD, ((name, place, key.removeprefix(name), age) for name, key, age in keys))

    async def add_deleted(self, names: Iterable[str]) -> None:
        """Add the names of deleted images."""
        await self._run_for_each("INSERT OR IGNORE INTO deleted VALUES (?)", ((name,) for name in names))

    async def count(self) -> int:
        """How many images there are."""
        return await self._count("SELECT count(DISTINCT name) FROM image")

    async def pages(self) -> AsyncIterator[list[ImageObjects]]:
        """All images by their names, a page at a time."""
        last = ""
        while found := await self._fetch_rows(_Row, _READ, last):
            page = [_listed(row) for row in found]
            last = page[-1].name
            yield page

    async def possible_findings(self, plan: Plan, *, after: float, named: bool) -> AsyncIterator[PossibleFinding]:
        """What needs a fresh look, of images older than `after` seconds: younger ones may be in hand."""
        async for page in self.pages():
            for listed in page:
                if listed.age >= after:
                    for possible in possible_findings(listed, plan, named=named):
                        yield possible


def _listed(row: _Row) -> ImageObjects:
    return ImageObjects(
        row.name, row.age, bool(row.deleted), row.keys(row.incoming), row.keys(row.active), row.keys(row.documents)
    )
