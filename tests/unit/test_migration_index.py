"""The index of a migration, in a temporary file."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.eventually import eventually

from migrator.database import Row
from migrator.index import MigrationIndex


class Endless(list[Row]):
    """Rows that do not end before there are `enough`."""

    taken = 0
    enough = False

    def __iter__(self) -> Iterator[Row]:
        while not self.enough:
            self.taken += 1
            yield Row(self.taken, f"{self.taken}_1.jpg", has_svg=False)


async def test_cancelling_in_the_middle_of_a_statement_ends_the_statement(tmp_path: Path) -> None:
    rows = Endless()

    async def begun() -> bool:
        return rows.taken > 1000

    async with MigrationIndex.open(tmp_path) as index:
        adding = asyncio.create_task(index.add_rows(rows))
        await eventually(begun, "rows that are being added")
        adding.cancel()
        rows.enough = True
        with pytest.raises(asyncio.CancelledError):
            await adding
    assert not list(tmp_path.iterdir())  # noqa: ASYNC240 - there is nothing left to wait for it


async def test_a_row_without_an_image_does_not_hide_an_image(tmp_path: Path) -> None:
    async with MigrationIndex.open(tmp_path) as index:
        await index.add_rows([Row(1, "123_45", has_svg=False), Row(2, "123_45.jpg", has_svg=True)])
        assert [str(archived) for page in [page async for page in index.pages("ASC")] for archived in page] == [
            "123_45",
            "123_45.svg",
        ]
