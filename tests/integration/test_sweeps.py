"""The sweep and the reconcile command's looks, on stores whose objects cannot be made to look old."""

import asyncio
from pathlib import Path

import pytest
from tests.support.commands import put
from tests.support.deployment import keys
from tests.support.eventually import eventually
from tests.support.memory import MemoryStorage
from tests.support.s3 import TestBuckets

from common import metrics
from common.images.names import ImageKey
from common.images.plan import Plan
from common.images.sizes import parse_sizes
from common.jobs import Result
from common.messaging.embedded import EmbeddedBus
from common.messaging.outbox import Outbox
from common.storage.base import Buckets
from common.storage.image_store import find_original
from common.storage.local import LocalStorage
from common.storage.s3 import S3Storage, connect
from publisher.audit.findings import FindingClass
from publisher.audit.verification import Verification
from publisher.context import PublisherContext
from publisher.maintenance.lock import STALE, Lock
from publisher.maintenance.sweep import Sweep

IMAGE = ImageKey.parse("1475660224_0882910455.jpg")
PLAN = Plan(parse_sizes(None))


def publisher_context(buckets: Buckets) -> PublisherContext:
    bus = EmbeddedBus()
    return PublisherContext(buckets=buckets, bus=bus, outbox=Outbox(bus), plan=PLAN, ttl=2.0)


async def sweep(buckets: Buckets, *young: str) -> None:
    """Sweep everything. Before each step the `young` are put again: they are so, however long the steps take."""
    sweeping = Sweep(publisher_context(buckets), Path(), grace=2.0)
    async for candidate in sweeping.candidates(thorough=True):
        await put(buckets.incoming, *young)
        await sweeping.process(candidate)


async def test_on_s3_an_expired_image_goes_whole_and_others_stay(s3_buckets: TestBuckets, tmp_path: Path) -> None:
    account = s3_buckets.account
    async with connect(account) as client:
        incoming, active = (
            S3Storage(client, account, name, acl="private", cache_control="", temporary=tmp_path)
            for name in (s3_buckets.incoming, s3_buckets.active)
        )
        await put(incoming, "1_1.jpg", "1_1BI.jpg", "1_1.json", "1_2.jpg", "1_2MI.jpg", "tombstones/1_3", "1_5BI.jpg")
        await put(active, "1_1.crop", "1_1BI.jpg", "1_2.jpg", "1_4.crop", "1_6.JPG", "1_6.crop")
        await asyncio.sleep(6)
        await put(incoming, "2_1.jpg", "2_1BI.jpg")
        await sweep(Buckets(incoming, active), "2_1.jpg", "2_1BI.jpg")
        assert await keys(incoming) == {"2_1.jpg", "2_1BI.jpg"}
        assert await keys(active) == {"1_2.jpg", "1_2MI.jpg", "1_6.JPG", "1_6.crop"}
        assert await incoming.stat("tombstones/1_3") is not None
        lock = Lock(incoming, "locks/clean", tmp_path)
        async with lock.hold() as one, Lock(incoming, "locks/clean", tmp_path).hold() as other:
            assert (one, other) == (True, False)
        assert await incoming.stat("locks/clean") is None


async def test_a_listing_that_is_out_of_date_removes_nothing() -> None:
    incoming, active = MemoryStorage(lambda: 0.0), MemoryStorage(lambda: 0.0)
    buckets = Buckets(incoming, active)
    await put(incoming, str(IMAGE), IMAGE.variant_key("BI"))
    await put(active, IMAGE.crop_key)
    for written in incoming._written:  # noqa: SLF001
        incoming._written[written] = -3600.0  # noqa: SLF001
    sweeping = Sweep(publisher_context(buckets), Path(), grace=2.0)
    candidates = [item async for item in sweeping.candidates(thorough=True)]
    assert len(candidates) == 2
    await put(incoming, str(IMAGE))  # what was listed is young again
    assert {(await sweeping.process(item)).result for item in candidates} == {Result.SKIPPED}
    assert set(incoming.objects) == {str(IMAGE), IMAGE.variant_key("BI")}
    assert set(active.objects) == {IMAGE.crop_key}


@pytest.mark.parametrize("cropped", [False, True])
@pytest.mark.parametrize(("original", "counted"), [(True, 0), (False, 1)])
async def test_orphans_are_counted_as_a_repair_and_expired_uploads_are_not(
    *, original: bool, counted: int, cropped: bool
) -> None:
    incoming, active = MemoryStorage(lambda: 0.0), MemoryStorage(lambda: 0.0)
    await put(incoming, IMAGE.variant_key("BI"), *([str(IMAGE)] if original else []))
    await put(active, *([IMAGE.crop_key] if cropped else []))
    for written in incoming._written:  # noqa: SLF001
        incoming._written[written] = -3600.0  # noqa: SLF001
    orphans = metrics.REPAIRED.labels("leftovers")._value  # noqa: SLF001
    before = orphans.get()
    await sweep(Buckets(incoming, active))
    assert not incoming.objects
    assert not active.objects
    assert orphans.get() - before == counted


async def test_a_lock_is_kept_while_it_is_held_and_left_to_whom_it_was_taken_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("publisher.maintenance.lock._REFRESH", 0.01)
    now = 0.0
    bucket = MemoryStorage(lambda: now)
    async with Lock(bucket, "locks/x", tmp_path).hold() as held:
        assert held
        now = 100 * STALE

        async def refreshed() -> bool:
            entry = await bucket.stat("locks/x")
            return entry is not None and entry.age < STALE

        await eventually(refreshed, "a lock that is as young as when it was taken")
        async with Lock(bucket, "locks/x", tmp_path).hold() as other:
            assert not other
        await bucket.put("locks/x", b"somebody else")
        await asyncio.sleep(0.1)
    assert bucket.objects == {"locks/x": b"somebody else"}
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240 - a folder of a test


@pytest.mark.parametrize("ending", ["jpg", "JPG", "Png", "gif", "SVG"])
async def test_an_original_is_found_however_its_ending_is_spelt(ending: str) -> None:
    buckets = Buckets(MemoryStorage(), MemoryStorage())
    await put(buckets.active, f"1_1.{ending}")
    assert await find_original("1_1", buckets=buckets) == ImageKey("1_1", ending)


async def test_what_crashed_writes_left_is_reported_and_cleared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    buckets = Buckets(LocalStorage.open(tmp_path / "incoming"), LocalStorage.open(tmp_path / "active"))
    left = tmp_path / "active" / ".tmp" / "left"
    left.write_bytes(b"half a photo")
    assert await Verification(buckets, PLAN).unfinished_writes() == []
    # The change time of a file cannot be set, so the present is moved instead.
    monkeypatch.setattr("time.time", lambda: left.stat().st_ctime + 3700)
    (found,) = await Verification(buckets, PLAN).unfinished_writes()
    assert (found.subject, found.repaired, found.kind) == ("active/.tmp/left", False, FindingClass.TEMPORARY)
    assert left.exists()
    (repaired,) = await Verification(buckets, PLAN, publisher_context(buckets)).unfinished_writes()
    monkeypatch.undo()
    assert repaired.repaired
    assert not left.exists()
