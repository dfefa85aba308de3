"""A defect of ours in one image's imaging ends no job: the others go on, and the report names it."""

from typing import Any

import pytest

from common.errors import Defect
from common.jobs import Result
from migrator import migration as handlers
from migrator.index import ArchivedImage


async def test_the_migration_reports_the_image_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: object) -> None:
        raise Defect("a defect in probe")

    monkeypatch.setattr(handlers, "_migrate", fails)
    nothing: Any = None
    outcome = await handlers.migrate(ArchivedImage(1, "1475660224_1", "1475660224_1.jpg", svg=False), migration=nothing)
    assert (outcome.result, outcome.error) == (Result.ERROR, "defect")
    assert "log" in str(outcome.reason)
