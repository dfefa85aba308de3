"""A storage operation or a lock that is cancelled, wherever it waits, leaves nothing behind.

test_cancelled_work.py has uploads, edits and sweeps.
"""

import asyncio
from pathlib import Path

import pytest
from tests.support.folders import Folders
from tests.support.interruption import MANNERS, Manner, points
from tests.support.s3 import TestBuckets
from tests.support.stores import KEY, s3_pair

from common.storage.s3 import connect
from publisher.maintenance.lock import Lock

everywhere = pytest.mark.parametrize("manner", MANNERS, ids=str)


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path)


@everywhere
async def test_an_object_in_a_folder_is_whole_or_not_there(folders: Folders, manner: Manner) -> None:
    bucket = folders.buckets.incoming
    for point in points(manner):
        await point.interrupt(bucket.put(KEY, b"photo"))
        assert folders.files() in ({}, {f"incoming/{KEY}": b"photo"})
        await bucket.delete(KEY)


@everywhere
async def test_each_of_several_objects_is_whole_or_not_there(folders: Folders, manner: Manner) -> None:
    objects = {KEY: b"photo", "1_2.jpg": b"other"}
    whole = {f"incoming/{key}": data for key, data in objects.items()}
    for point in points(manner):
        cancelled = await point.interrupt(folders.buckets.incoming.put_all(objects))
        assert folders.files().items() <= whole.items()
        assert cancelled or folders.files() == whole
        await folders.buckets.incoming.delete_all(objects)


@everywhere
async def test_a_key_is_taken_or_free(folders: Folders, manner: Manner) -> None:
    bucket = folders.buckets.incoming
    upload = folders.temporary / "upload"
    upload.write_bytes(b"photo")
    before = folders.files()
    for point in points(manner):
        cancelled = await point.interrupt(bucket.put_file(KEY, upload, exclusive=True))
        assert folders.files() == (before if cancelled else before | {f"incoming/{KEY}": b"photo"})
        await bucket.delete(KEY)


@everywhere
async def test_a_file_to_read_goes(folders: Folders, manner: Manner) -> None:
    await folders.buckets.incoming.put(KEY, b"photo")

    async def read() -> None:
        async with folders.buckets.incoming.as_file(KEY) as path:
            await asyncio.sleep(0)
            assert path.read_bytes() == b"photo"

    for point in points(manner):
        await point.interrupt(read())
        assert folders.files() == {f"incoming/{KEY}": b"photo"}
        await folders.buckets.active.copy_from(folders.buckets.incoming, KEY)
        await folders.buckets.active.delete(KEY)


@everywhere
async def test_a_lock_is_given_back(folders: Folders, manner: Manner) -> None:
    async def hold() -> None:
        async with Lock(folders.buckets.incoming, "locks/x", folders.temporary).hold() as held:
            assert held
            await asyncio.sleep(0)

    for point in points(manner):
        await point.interrupt(hold())
        assert folders.files() == {}


@everywhere
async def test_on_s3(s3_buckets: TestBuckets, tmp_path: Path, manner: Manner) -> None:
    async with connect(s3_buckets.account) as client:
        temporary = tmp_path / "temp"
        temporary.mkdir()
        bucket = s3_pair(client, s3_buckets.account, s3_buckets, temporary).incoming
        upload = tmp_path / "upload"
        upload.write_bytes(b"photo")
        for point in points(manner):
            cancelled = await point.interrupt(bucket.put_file(KEY, upload, exclusive=True))
            assert (await bucket.stat(KEY) is None) == cancelled
            await bucket.delete(KEY)

        async def hold() -> None:
            async with Lock(bucket, "locks/x", temporary).hold() as held:
                assert held
                await asyncio.sleep(0)

        for point in points(manner):
            await point.interrupt(hold())
            assert await bucket.stat("locks/x") is None
            assert list(temporary.iterdir()) == []

        await bucket.put(KEY, b"photo")

        async def read() -> None:
            async with bucket.as_file(KEY) as path:
                await asyncio.sleep(0)
                assert path.read_bytes() == b"photo"

        for point in points(manner):
            await point.interrupt(read())
            assert list(temporary.iterdir()) == []
