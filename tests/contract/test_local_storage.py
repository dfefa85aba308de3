"""What folders promise besides."""

import os
from pathlib import Path

import pytest
from tests.support.stores import KEY, attempts

from common.errors import KeyTaken, NotDeleted, StorageFault
from common.storage.base import Buckets
from common.storage.local import LocalStorage


async def test_more_entries_than_a_page(local: Buckets) -> None:
    for number in range(1203):
        (local.incoming.path(f"{number}_1.jpg")).write_bytes(b"x")  # type: ignore[attr-defined]
    assert len([entry async for entry in local.incoming.entries()]) == 1203


async def test_a_missing_folder_is_a_fault_and_not_an_absent_key(tmp_path: Path) -> None:
    bucket = LocalStorage.open(tmp_path / "bucket")
    (tmp_path / "bucket").rename(tmp_path / "elsewhere")
    for attempt in attempts(bucket):
        with pytest.raises(StorageFault, match="bucket"):
            await attempt()


async def test_what_could_not_be_deleted_is_named(local: Buckets) -> None:
    for key in ("1_2.jpg", "3_4.jpg"):
        await local.incoming.put(key, b"photo")
    local.incoming.path(KEY).mkdir()  # type: ignore[attr-defined]
    with pytest.raises(NotDeleted, match=f"{KEY} .*directory") as fault:
        await local.incoming.delete_all(["1_2.jpg", KEY, "3_4.jpg"])
    assert fault.value.keys == {KEY}
    assert [entry.key async for entry in local.incoming.entries()] == []


async def test_local_keys_cannot_lead_out_of_the_folder(local: Buckets) -> None:
    for key in ("../x.jpg", "/etc/passwd", "a/../../x", ".hidden", "a/b/c", ""):
        with pytest.raises(StorageFault):
            await local.incoming.get(key)


async def test_what_a_crash_left_is_cleared_once_it_is_old(tmp_path: Path) -> None:
    bucket = LocalStorage.open(tmp_path)
    old, new = tmp_path / ".tmp" / "old", tmp_path / ".tmp" / "new"
    for path in (old, new):
        path.write_bytes(b"half a photo")
    # The change time cannot be set, so the present is moved instead.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.time", lambda: old.stat().st_ctime + 3700)
        assert set(await bucket.unfinished_writes()) == {".tmp/old", ".tmp/new"}
        await LocalStorage.open(tmp_path).check()
        assert old.exists(), "only to open it changes nothing"
        await bucket.remove_unfinished_writes()
    assert not old.exists()
    new.write_bytes(b"half a photo")
    assert await bucket.unfinished_writes() == []
    await bucket.remove_unfinished_writes()
    assert new.exists()


async def test_a_file_system_without_hard_links(
    local: Buckets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", refused)
    (tmp_path / "upload").write_bytes(b"photo")
    await local.incoming.put_file(KEY, tmp_path / "upload", exclusive=True)
    with pytest.raises(KeyTaken):
        await local.incoming.put_file(KEY, tmp_path / "upload", exclusive=True)
    await local.active.copy_from(local.incoming, KEY)
    assert await local.active.get(KEY) == b"photo"


async def test_a_full_disk_leaves_no_final_name(
    local: Buckets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageFault, match="No space left"):
        await local.incoming.put(KEY, b"photo")
    with pytest.raises(StorageFault, match="No space left"):
        await local.incoming.put_all({KEY: b"photo", "1_2.jpg": b"photo"})
    assert list((tmp_path / "incoming").iterdir()) == [tmp_path / "incoming" / ".tmp"]
    assert list((tmp_path / "incoming" / ".tmp").iterdir()) == []


async def test_a_name_whose_making_was_not_answered_is_our_own(
    local: Buckets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a network file system that repeats a request whose answer was lost."""
    real = os.link

    def repeated(source: Path, target: Path) -> None:
        real(source, target)
        if target.name == KEY:
            real(source, target)

    monkeypatch.setattr("os.link", repeated)
    (tmp_path / "upload").write_bytes(b"photo")
    await local.incoming.put_file(KEY, tmp_path / "upload", exclusive=True)
    with pytest.raises(KeyTaken):
        await local.incoming.put_file(KEY, tmp_path / "upload", exclusive=True)
    assert await local.incoming.get(KEY) == b"photo"
