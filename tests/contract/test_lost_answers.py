"""A store that does what it is asked, and whose answer is lost on the way: the library asks again."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.proxy import Proxy
from tests.support.s3 import TestBuckets
from tests.support.store_faults import proxy_to, through
from tests.support.stores import KEY

from common.errors import KeyTaken
from common.storage.base import Buckets


@pytest.fixture
async def proxy(s3_buckets: TestBuckets) -> AsyncIterator[Proxy]:
    async with proxy_to(s3_buckets) as found:
        yield found


@pytest.mark.parametrize("lost", [1, 2])
async def test_what_was_stored_is_not_taken_for_somebody_elses(
    proxy: Proxy, s3_buckets: TestBuckets, tmp_path: Path, lost: int
) -> None:
    (tmp_path / "upload").write_bytes(b"photo" * 50_000)
    async with through(proxy, s3_buckets, tmp_path) as buckets:
        for number, bucket in enumerate((buckets.incoming, buckets.active)):
            proxy.lose_answers(lost)
            await bucket.put_file(f"{number}_1.jpg", tmp_path / "upload", exclusive=True)
            assert [entry.key async for entry in bucket.entries()] == [f"{number}_1.jpg"]


async def test_what_somebody_else_stored_is_theirs(
    s3: Buckets, proxy: Proxy, s3_buckets: TestBuckets, tmp_path: Path
) -> None:
    (tmp_path / "upload").write_bytes(b"mine")
    async with through(proxy, s3_buckets, tmp_path) as buckets:
        for theirs in ("put", "put_file", "copied"):
            if theirs == "put":
                await s3.incoming.put(KEY, b"theirs")
            elif theirs == "put_file":
                await s3.incoming.delete(KEY)
                (tmp_path / "theirs").write_bytes(b"theirs")
                await s3.incoming.put_file(KEY, tmp_path / "theirs", exclusive=True)
            else:
                await s3.active.put(KEY, b"theirs")
                await s3.incoming.copy_from(s3.active, KEY)
            proxy.lose_answers(1)
            with pytest.raises(KeyTaken):
                await buckets.incoming.put_file(KEY, tmp_path / "upload", exclusive=True)
            assert await s3.incoming.get(KEY) == b"theirs"


async def test_of_many_writers_whose_answers_are_lost_one_has_the_key(
    proxy: Proxy, s3_buckets: TestBuckets, tmp_path: Path
) -> None:
    paths = [tmp_path / f"upload{number}" for number in range(4)]
    for path in paths:
        path.write_bytes(path.name.encode())
    async with through(proxy, s3_buckets, tmp_path) as buckets:
        proxy.lose_answers(4)
        puts = [buckets.incoming.put_file(KEY, path, exclusive=True) for path in paths]
        outcomes = await asyncio.gather(*puts, return_exceptions=True)
        assert sorted(map(str, map(type, outcomes))) == sorted([str(type(None)), *[str(KeyTaken)] * 3]), outcomes
        assert await buckets.incoming.get(KEY) == paths[outcomes.index(None)].name.encode()
