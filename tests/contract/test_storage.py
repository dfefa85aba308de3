"""What every storage promises, shown on all of them."""

import asyncio
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from tests.support.memory import MemoryStorage
from tests.support.stores import KEY

from common.errors import KeyTaken, NoSuchKey, StorageFault
from common.storage.base import Buckets, Storage


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


async def test_several_objects_are_put_at_once(bucket: Storage) -> None:
    await bucket.put("1_2.jpg", b"older")
    objects = {"1_2.jpg": b"newer", "1_2.json": b"", KEY: b"photo", "tombstones/1_2": b"x"}
    await bucket.put_all(objects)
    assert {key: await bucket.get(key) for key in objects} == objects
    await bucket.put_all({})
    assert {entry.key async for entry in bucket.entries()} == {"1_2.jpg", "1_2.json", KEY}


async def test_an_exclusive_put_never_replaces(bucket: Storage, tmp_path: Path) -> None:
    (tmp_path / "upload").write_bytes(b"mine")
    await bucket.put_file(KEY, tmp_path / "upload", exclusive=True)
    with pytest.raises(KeyTaken):
        await bucket.put_file(KEY, tmp_path / "upload", exclusive=True)
    with pytest.raises(KeyTaken):
        await bucket.put(KEY, b"theirs", exclusive=True)
    assert await bucket.get(KEY) == b"mine"
    await bucket.put("1_2.json", b"mine", exclusive=True)
    with pytest.raises(KeyTaken):
        await bucket.put("1_2.json", b"theirs", exclusive=True)
    assert await bucket.get("1_2.json") == b"mine"


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


async def test_several_objects_are_deleted_at_once_and_others_stay(bucket: Storage) -> None:
    keys = [f"1475660224_{number}.jpg" for number in range(3)]
    for key in (*keys, KEY):
        await bucket.put(key, b"photo")
    await bucket.delete_all([*keys, "1475660224_9.jpg"])
    await bucket.delete_all([])
    await bucket.delete_all(["1475660224_9.jpg"])
    assert [entry.key async for entry in bucket.entries()] == [KEY]


async def test_stat_of_an_empty_object(bucket: Storage) -> None:
    await bucket.put(KEY, b"")
    entry = await bucket.stat(KEY)
    assert entry is not None
    assert (entry.key, entry.bytes) == (KEY, 0)


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


async def test_a_copy_is_another_object_and_nothing_is_copied_onto_itself(buckets: Buckets) -> None:
    assert not await buckets.active.is_same_object(buckets.incoming, KEY)
    await buckets.incoming.put(KEY, b"photo")
    await buckets.active.copy_from(buckets.incoming, KEY)
    assert not await buckets.active.is_same_object(buckets.incoming, KEY)
    assert await buckets.active.is_same_object(buckets.active, KEY)
    with pytest.raises(StorageFault, match="onto itself"):
        await buckets.active.copy_from(buckets.active, KEY)
    assert await buckets.active.get(KEY) == b"photo"


async def test_entries_by_prefix_and_not_below(bucket: Storage) -> None:
    for key in ("1_2.jpg", "1_2BI.jpg", "3_4.png", "tombstones/1_2"):
        await bucket.put(key, b"x")
    assert {entry.key async for entry in bucket.entries()} == {"1_2.jpg", "1_2BI.jpg", "3_4.png"}
    assert {entry.key async for entry in bucket.entries("1_2")} == {"1_2.jpg", "1_2BI.jpg"}
    assert {entry.key async for entry in bucket.entries("tombstones/")} == {"tombstones/1_2"}
    assert {entry.key async for entry in bucket.entries("nothing/")} == set()


async def test_objects_of_images_and_of_no_others(bucket: Storage) -> None:
    names = [f"1_{number}" for number in range(20)]
    for key in (
        "1_2.jpg",
        "1_2BI.jpg",
        "1_2.modern.json",
        "1_19.crop",
        "1_200.jpg",
        "9_2.jpg",
        "1_2.exe",
        "tombstones/1_2",
    ):
        await bucket.put(key, b"x")
    assert {entry.key async for entry in bucket.objects_of(["1_2"])} == {"1_2.jpg", "1_2BI.jpg", "1_2.modern.json"}
    found = [entry.key async for entry in bucket.objects_of(names)]
    assert sorted(found) == ["1_19.crop", "1_2.jpg", "1_2.modern.json", "1_2BI.jpg"]
    assert [entry async for entry in bucket.objects_of(["7_7"])] == []


def counted(operation: str, outcome: str) -> float:
    labels = {"operation": operation, "outcome": outcome}
    return REGISTRY.get_sample_value("image_backend_store_seconds_count", labels) or 0.0


@pytest.fixture(params=["local", "s3"])
def stored(request: pytest.FixtureRequest) -> Storage:
    found: Buckets = request.getfixturevalue(request.param)
    return found.incoming


async def test_each_operation_is_measured_by_how_it_ended(stored: Storage) -> None:
    ends = [("put", "ok"), ("put", "taken"), ("get", "absent"), ("fetch", "ok"), ("fetch", "absent"), ("list", "ok")]
    before = {how: counted(*how) for how in (*ends, ("fetch", "defect"))}
    await stored.put(KEY, b"photo", exclusive=True)
    with pytest.raises(KeyTaken):
        await stored.put(KEY, b"photo", exclusive=True)
    with pytest.raises(NoSuchKey):
        await stored.get("1_2.jpg")
    with pytest.raises(NoSuchKey):
        async with stored.as_file("1_2.jpg"):
            pass
    with pytest.raises(ZeroDivisionError):  # what its reader raises is no outcome of the store
        async with stored.as_file(KEY):
            raise ZeroDivisionError
    assert [entry.key async for entry in stored.entries()] == [KEY]
    expected = dict.fromkeys(ends, 1.0) | {("fetch", "defect"): 0.0}
    assert {how: counted(*how) - number for how, number in before.items()} == expected
