"""An S3 server on a bad network: what is cut off, late or out of date is never taken for the truth."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.proxy import Proxy
from tests.support.s3 import TestBuckets
from tests.support.store_faults import SILENCE, proxy_to, refusal, through
from tests.support.stores import KEY

from common.errors import NoSuchKey, StorageFault
from common.storage.base import Buckets

PHOTO = b"photo" * 100_000
ALWAYS = 100  # more often than the library sends a request


@pytest.fixture
async def proxy(s3_buckets: TestBuckets) -> AsyncIterator[Proxy]:
    async with proxy_to(s3_buckets) as found:
        yield found


@pytest.fixture
async def buckets(
    proxy: Proxy, s3_buckets: TestBuckets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Buckets]:
    monkeypatch.setattr("common.storage.s3.account._SILENCE_SECONDS", SILENCE)
    async with through(proxy, s3_buckets, tmp_path) as found:
        yield found


async def content(buckets: Buckets) -> bytes:
    return await buckets.incoming.get(KEY)


async def file(buckets: Buckets) -> bytes:
    async with buckets.incoming.as_file(KEY) as path:
        return path.read_bytes()


@pytest.mark.parametrize("read", [content, file])
async def test_a_body_that_is_cut_off_on_its_way_down_is_a_fault(
    proxy: Proxy, buckets: Buckets, tmp_path: Path, read: Callable[[Buckets], Awaitable[bytes]]
) -> None:
    await buckets.incoming.put(KEY, PHOTO)
    proxy.break_after(40_000, 1, answers=True)
    with pytest.raises(StorageFault, match=KEY):
        await read(buckets)
    assert await read(buckets) == PHOTO
    assert await asyncio.to_thread(lambda: list(tmp_path.iterdir())) == []


@pytest.mark.parametrize("cuts", [1, 2, ALWAYS])
@pytest.mark.parametrize("exclusive", [False, True])
async def test_a_body_that_is_cut_off_on_its_way_up_is_stored_whole_or_not_at_all(
    proxy: Proxy, buckets: Buckets, tmp_path: Path, cuts: int, *, exclusive: bool
) -> None:
    (tmp_path / "upload").write_bytes(PHOTO)
    proxy.break_after(200_000, cuts, answers=False)
    if cuts == ALWAYS:
        with pytest.raises(StorageFault, match=KEY):
            await buckets.incoming.put_file(KEY, tmp_path / "upload", exclusive=exclusive)
        with pytest.raises(NoSuchKey):
            await buckets.incoming.get(KEY)
        proxy.break_after(0, 0, answers=False)
    await buckets.incoming.put_file(KEY, tmp_path / "upload", exclusive=exclusive)
    assert await buckets.incoming.get(KEY) == PHOTO


async def test_a_store_that_hangs_is_a_fault_and_is_used_again_when_it_goes_on(
    proxy: Proxy, buckets: Buckets, tmp_path: Path
) -> None:
    (tmp_path / "upload").write_bytes(PHOTO)
    proxy.stall()
    async with asyncio.timeout(90):  # the library repeats each of them after pauses that it chooses at random
        for attempt in (
            buckets.incoming.put_file(KEY, tmp_path / "upload", exclusive=True),
            buckets.incoming.stat(KEY),
            buckets.incoming.delete("1475660224_2.jpg"),
        ):
            with pytest.raises(StorageFault):
                await attempt
    proxy.flow()
    await buckets.active.put(KEY, PHOTO)
    assert await buckets.active.get(KEY) == PHOTO


async def test_an_answer_that_is_late_is_waited_for(proxy: Proxy, buckets: Buckets, tmp_path: Path) -> None:
    (tmp_path / "upload").write_bytes(PHOTO)
    proxy.stall()
    storing = asyncio.create_task(buckets.incoming.put_file(KEY, tmp_path / "upload", exclusive=True))
    await asyncio.sleep(SILENCE * 1.5)  # it is sent once more meanwhile, and both reach the store
    proxy.flow()
    await storing
    assert [entry.key async for entry in buckets.incoming.entries()] == [KEY]
    assert await buckets.incoming.get(KEY) == PHOTO


@pytest.mark.parametrize(
    ("status", "code"),
    [("503 Slow Down", "SlowDown"), ("403 Forbidden", "InvalidAccessKeyId"), ("403 Forbidden", "RequestTimeTooSkewed")],
)
async def test_a_refusal_in_the_middle_of_the_work_is_a_fault_and_not_an_absent_key(
    proxy: Proxy, s3_buckets: TestBuckets, tmp_path: Path, status: str, code: str
) -> None:
    async with through(proxy, s3_buckets, tmp_path) as buckets:
        await buckets.incoming.put(KEY, PHOTO)
        proxy.answer(refusal(status, code))
        for attempt in (
            buckets.incoming.get(KEY),
            buckets.incoming.stat(KEY),
            buckets.incoming.put(KEY, b"other"),
            buckets.incoming.delete(KEY),
            buckets.active.copy_from(buckets.incoming, KEY),
        ):
            with pytest.raises(StorageFault, match=code):
                await attempt
        proxy.leave()
        assert await buckets.incoming.get(KEY) == PHOTO


@pytest.mark.parametrize("days", [1, -1])
async def test_a_clock_that_is_a_day_off_is_a_fault_until_it_is_right(
    buckets: Buckets, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    await buckets.incoming.put(KEY, PHOTO)
    with monkeypatch.context() as patch:
        patch.setattr(
            "botocore.auth.get_current_datetime", lambda: datetime.now(UTC).replace(tzinfo=None) + timedelta(days=days)
        )
        for attempt in (buckets.incoming.get, buckets.incoming.stat, buckets.incoming.delete):
            with pytest.raises(StorageFault, match="RequestTimeTooSkewed"):
                await attempt(KEY)
        with pytest.raises(StorageFault, match="RequestTimeTooSkewed"):
            await buckets.incoming.put(KEY, b"other")
    assert await buckets.incoming.get(KEY) == PHOTO
