"""`check` on stores that are like the real one, but for one thing that the bucket protocol needs."""

from collections.abc import Collection
from pathlib import Path

import pytest

from common.storage.base import Buckets, Entry
from common.storage.check import check_buckets
from common.storage.local import LocalStorage


class WithoutEmptyObjects(LocalStorage):
    """It does not show an object without content."""

    async def stat(self, key: str) -> Entry | None:
        found = await super().stat(key)
        return found if found is None or found.bytes else None


class DeletingOne(LocalStorage):
    """Of several objects it deletes the first, and says nothing."""

    async def delete_all(self, keys: Collection[str]) -> None:
        await super().delete_all(sorted(keys)[:1])


@pytest.mark.parametrize(
    ("kind", "step", "wrong"),
    [
        (WithoutEmptyObjects, "an object without content is found", "an object without content, as a tombstone is one"),
        (DeletingOne, "several objects can be deleted at once", "one is still there"),
    ],
)
async def test_a_store_that_cannot_do_it_is_told(
    kind: type[LocalStorage], step: str, wrong: str, tmp_path: Path
) -> None:
    buckets = Buckets(kind.open(tmp_path / "incoming"), kind.open(tmp_path / "active"))
    found = {what: reason async for what, reason in check_buckets(buckets) if reason is not None}
    assert set(found) == {step}
    assert wrong in (found[step] or "")
    for folder in ("incoming", "active"):
        assert [path.name for path in (tmp_path / folder).iterdir() if not path.name.startswith(".")] == []
