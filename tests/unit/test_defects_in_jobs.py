"""A defect of ours in the imaging of one image does not end a job: the report names the image, and the job goes on."""

from typing import Any

import pytest

from common.errors import Defect
from common.jobs import Result
from migrator import migration as use_case
from migrator.index import ArchivedImage


async def test_the_migration_reports_the_image_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: object) -> None:
        raise Defect("a defect in probe")

    monkeypatch.setattr(use_case, "_migrate", fails)
    nothing: Any = None
    outcome = await use_case.migrate_image(
        ArchivedImage(1, "1475660224_1", "1475660224_1.jpg", is_svg=False), migration=nothing
    )
    assert (outcome.result, outcome.error) == (Result.ERROR, "defect")
    assert "log" in str(outcome.reason)
