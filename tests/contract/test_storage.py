"""What every storage promises, shown on all of them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from botocore.exceptions import ClientError
from tests.support.memory import MemoryStorage
from tests.support.s3 import TestBuckets

from common.errors import KeyTaken, NoSuchKey, StorageFault
from common.local import LocalStorage
from common.s3 import S3Account, S3Storage, connect
from common.storage import Buckets, Storage

KEY = "1475660224_0882910455.jpg"
CACHE = "public, max-age=77"


@pytest.fixture
async def s3(s3_buckets: TestBuckets, tmp_path: Path) -> AsyncIterator[Buckets]:
    async with connect(s3_buckets.account) as client:
        yield _s3(client, s3_buckets.account, s3_buckets, tmp_path)


def _s3(client: object, account: S3Account, buckets: TestBuckets, folder: Path) -> Buckets:
    return Buckets(
        S3Storage(client, account, buckets.incoming, acl="private", cache_control="", temporary=folder),
        S3Storage(client, account, buckets.active, acl="public-read", cache_control=CACHE, temporary=folder),
    )


@pytest.fixture
def local(tmp_path: Path) -> Buckets:
    return Buckets(LocalStorage.open(tmp_path / "incoming"), LocalStorage.open(tmp_path / "active"))


@pytest.fixture(params=["memory", "local", "s3"])
def buckets(request: pytest.FixtureRequest) -> Buckets:
    if request.param == "memory":
        return Buckets(MemoryStorage(), MemoryStorage())
    found: Buckets = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def bucket(buckets: Buckets) -> Storage:
    return buckets.incoming


async def test_what_is_put_can_be_read(bucket: Storage, tmp_path: Path) -> None:
    await bucket.put(KEY, b"photo")
    assert await bucket.get(KEY) == b"photo"
    async with bucket.as_file(KEY) as path:
        assert path.read_bytes() == b"photo"
    assert not path.exists()
    (tmp_path / "upload").write_bytes(b"other photo")
    await bucket.put_file(KEY, tmp_path / "upload")
    assert await bucket.get(KEY) == b"other photo"
    assert (tmp_path / "upload").exists()


async def test_a_put_replaces(bucket: Storage) -> None:
    await bucket.put(KEY, b"first, and longer")
    await bucket.put(KEY, b"second")
    assert await bucket.get(KEY) == b"second"


async def test_an_exclusive_put_never_replaces(bucket: Storage, tmp_path: Path) -> None:
    (tmp_path / "upload").write_bytes(b"mine")
    await bucket.put_file(KEY, tmp_path / "upload", exclusive=True)
    with pytest.raises(KeyTaken):
        await bucket.put_file(KEY, tmp_path / "upload", exclusive=True)
    assert await bucket.get(KEY) == b"mine"


async def test_of_many_exclusive_puts_at_once_one_wins(bucket: Storage, tmp_path: Path) -> None:
    paths = [tmp_path / f"upload{number}" for number in range(5)]
    for path in paths:
        path.write_bytes(path.name.encode())
    puts = [bucket.put_file(KEY, path, exclusive=True) for path in paths]
    outcomes = await asyncio.gather(*puts, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes].count(KeyTaken) == 4
    winner = paths[outcomes.index(None)]
    assert await bucket.get(KEY) == winner.name.encode()


async def test_absent_keys(bucket: Storage) -> None:
    assert await bucket.stat(KEY) is None
    with pytest.raises(NoSuchKey):
        await bucket.get(KEY)
    with pytest.raises(NoSuchKey):
        async with bucket.as_file(KEY):
            pytest.fail("there is nothing to read")
    await bucket.delete(KEY)


async def test_a_deleted_object_is_gone_but_one_in_hand_stays_readable(bucket: Storage) -> None:
    await bucket.put(KEY, b"photo")
    async with bucket.as_file(KEY) as path:
        await bucket.delete(KEY)
        assert path.read_bytes() == b"photo"
    assert await bucket.stat(KEY) is None


async def test_stat_tells_size_and_age(bucket: Storage) -> None:
    await bucket.put(KEY, b"photo")
    entry = await bucket.stat(KEY)
    assert entry is not None
    assert (entry.key, entry.bytes) == (KEY, 5)
    # A store may tell the time in whole seconds.
    assert -2 < entry.age < 60


async def test_copy_between_buckets(buckets: Buckets) -> None:
    await buckets.incoming.put(KEY, b"photo")
    await buckets.active.copy_from(buckets.incoming, KEY)
    assert await buckets.active.get(KEY) == b"photo"
    await buckets.incoming.delete(KEY)
    assert await buckets.active.get(KEY) == b"photo"
    with pytest.raises(NoSuchKey):
        await buckets.active.copy_from(buckets.incoming, KEY)


async def test_copying_again_leaves_one_object_and_no_rest(buckets: Buckets) -> None:
    await buckets.incoming.put(KEY, b"photo")
    for _ in range(3):
        await buckets.active.copy_from(buckets.incoming, KEY)
    assert [entry.key async for entry in buckets.active.entries()] == [KEY]


async def test_entries_by_prefix_and_not_below(bucket: Storage) -> None:
    for key in ("1_2.jpg", "1_2BI.jpg", "3_4.png", "tombstones/1_2"):
        await bucket.put(key, b"x")
    assert {entry.key async for entry in bucket.entries()} == {"1_2.jpg", "1_2BI.jpg", "3_4.png"}
    assert {entry.key async for entry in bucket.entries("1_2")} == {"1_2.jpg", "1_2BI.jpg"}
    assert {entry.key async for entry in bucket.entries("tombstones/")} == {"tombstones/1_2"}
    assert {entry.key async for entry in bucket.entries("nothing/")} == set()


async def test_more_entries_than_a_page(local: Buckets) -> None:
    for number in range(1203):
        (local.incoming.path(f"{number}_1.jpg")).write_bytes(b"x")  # type: ignore[attr-defined]
    assert len([entry async for entry in local.incoming.entries()]) == 1203


async def test_a_missing_folder_is_a_fault_and_not_an_absent_key(tmp_path: Path) -> None:
    bucket = LocalStorage.open(tmp_path / "bucket")
    (tmp_path / "bucket").rename(tmp_path / "elsewhere")
    for attempt in _attempts(bucket):
        with pytest.raises(StorageFault, match="bucket"):
            await attempt()


async def test_a_missing_s3_bucket_is_a_fault_and_not_an_absent_key(s3_buckets: TestBuckets, tmp_path: Path) -> None:
    async with connect(s3_buckets.account) as client:
        gone = replace(s3_buckets, incoming="no-such-bucket")
        for attempt in _attempts(_s3(client, s3_buckets.account, gone, tmp_path).incoming):
            with pytest.raises(StorageFault, match="no-such-bucket"):
                await attempt()


async def test_a_refusal_and_an_unreachable_store_are_faults(s3_buckets: TestBuckets, tmp_path: Path) -> None:
    for account in (
        replace(s3_buckets.account, secret_key="wrong"),
        replace(s3_buckets.account, endpoint="http://127.0.0.1:9"),
    ):
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(connect(account))
            for attempt in _attempts(_s3(client, account, s3_buckets, tmp_path).incoming):
                with pytest.raises(StorageFault) as fault:
                    await attempt()
                assert "wrong" not in str(fault.value)


def _attempts(bucket: Storage) -> list[Callable[[], Awaitable[object]]]:
    async def listing() -> None:
        async for _ in bucket.entries():
            pass

    return [
        lambda: bucket.stat(KEY),
        lambda: bucket.get(KEY),
        lambda: bucket.put(KEY, b"x"),
        listing,
        bucket.check,
    ]


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
        await bucket.tidy()
    assert not old.exists()
    new.write_bytes(b"half a photo")
    await bucket.tidy()
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
    assert list((tmp_path / "incoming").iterdir()) == [tmp_path / "incoming" / ".tmp"]
    assert list((tmp_path / "incoming" / ".tmp").iterdir()) == []


async def test_s3_incoming_is_private_and_active_public(s3: Buckets, s3_buckets: TestBuckets, tmp_path: Path) -> None:
    svg = KEY.replace(".jpg", ".svg")
    (tmp_path / "upload").write_bytes(b"photo")
    await s3.incoming.put_file(KEY, tmp_path / "upload", exclusive=True)
    await s3.incoming.put(svg, b"<svg/>")
    await s3.active.copy_from(s3.incoming, KEY)  # on the server
    await s3.active.copy_from(s3.incoming, svg)
    await s3.active.put("1_2.png", b"put")
    async with connect(replace(s3_buckets.account, region="elsewhere")) as client:
        # Another account, as far as the storage can tell: the copy goes through this process.
        other = _s3(client, replace(s3_buckets.account, region="elsewhere"), s3_buckets, tmp_path)
        await s3.incoming.put("3_4.gif", b"streamed")
        await other.active.copy_from(s3.incoming, "3_4.gif")
    expected = {KEY: "image/jpeg", "1_2.png": "image/png", "3_4.gif": "image/gif", svg: "image/svg+xml"}
    async with aiohttp.ClientSession() as anonymous:
        for key, content_type in expected.items():
            async with anonymous.get(s3_buckets.public_url(s3_buckets.active, key)) as answer:
                assert (answer.status, answer.headers["Content-Type"]) == (200, content_type)
                assert answer.headers["Cache-Control"] == CACHE
                assert ("Content-Disposition" in answer.headers) == (key == svg)
        async with anonymous.get(s3_buckets.public_url(s3_buckets.incoming, KEY)) as answer:
            assert answer.status == 403


class PlainStore:
    """A client of a store that knows neither ACLs nor conditions; the rest is the real one's."""

    def __init__(self, client: Any, code: str) -> None:
        self._client = client
        self._code = code

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def put_object(self, **request: Any) -> Any:
        await asyncio.sleep(0.01)
        if "ACL" in request or (self._code == "NotImplemented" and "IfNoneMatch" in request):
            raise ClientError({"Error": {"Code": self._code, "Message": "no"}}, "PutObject")
        return await self._client.put_object(**request)


@pytest.mark.parametrize("code", ["AccessControlListNotSupported", "NotImplemented"])
async def test_a_store_without_acls_or_conditions_is_used_without(
    s3_buckets: TestBuckets, tmp_path: Path, code: str
) -> None:
    (tmp_path / "upload").write_bytes(b"photo")
    async with connect(s3_buckets.account) as client:
        bucket = _s3(PlainStore(client, code), s3_buckets.account, s3_buckets, tmp_path).incoming
        names = [f"{number}_1.jpg" for number in range(4)]
        await asyncio.gather(*(bucket.put_file(name, tmp_path / "upload", exclusive=True) for name in names))
        assert {entry.key async for entry in bucket.entries()} == set(names)
        assert await bucket.get(names[0]) == b"photo"
        with pytest.raises(KeyTaken):
            await bucket.put_file(names[0], tmp_path / "upload", exclusive=True)


async def test_s3_with_the_old_signature(s3_buckets: TestBuckets, tmp_path: Path) -> None:
    account = replace(s3_buckets.account, signature_version="s3")
    async with connect(account) as client:
        buckets = _s3(client, account, s3_buckets, tmp_path)
        await buckets.incoming.put(KEY, b"photo")
        await buckets.active.copy_from(buckets.incoming, KEY)
        assert await buckets.active.get(KEY) == b"photo"
