"""What a command knows of very many images, in a temporary file, so that memory stays constant."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import ClassVar, Self, TypeVar

from common.cancellation import to_the_end
from common.errors import JobFault
from common.storage.temporary import temporary_path

_FAST = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"  # what a crash leaves of it is of no use

R = TypeVar("R")
T = TypeVar("T")


class TemporaryIndex:
    """An SQLite database for one run. A subclass has its tables in `schema`. Every method raises JobFault."""

    schema: ClassVar[str]

    def __init__(self, path: Path) -> None:
        # Each call runs in whichever thread is free, and one after another.
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._lock = asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def open(cls, folder: Path) -> AsyncIterator[Self]:
        """An empty index in `folder`, which is removed in the end."""
        path = temporary_path(folder)
        with _translated():
            index = cls(path)
        try:
            await index._run(lambda: index._database.executescript(_FAST + cls.schema))
            yield index
        finally:
            index._database.close()
            path.unlink(missing_ok=True)

    async def _fetch_rows(self, row: Callable[..., R], query: str, *values: object) -> list[R]:
        """All rows that the query finds. `row` is a named tuple, whose fields are the columns in their order."""
        found = await self._run(lambda: self._database.execute(query, values).fetchall())
        return [row(*columns) for columns in found]

    async def _count(self, query: str) -> int:
        """The one number that the query finds."""
        (count,) = await self._fetch_rows(int, query)
        return count

    async def _run_for_each(self, query: str, rows: Iterable[tuple[object, ...]]) -> None:
        """Run the statement once for each row, all of them or none."""

        def work() -> None:
            self._database.execute("BEGIN")
            self._database.executemany(query, rows)
            self._database.execute("COMMIT")

        await self._run(work)

    async def _run(self, work: Callable[[], T]) -> T:
        def translated() -> T:
            with _translated():
                return work()

        async with self._lock:
            # To close the database under a thread that uses it would end the process.
            return await to_the_end(asyncio.to_thread(translated), on_cancel=lambda _: self._database.interrupt())


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise JobFault(f"TEMP_FOLDER cannot hold the list of images: {error}") from error
