"""What an S3 server is asked for besides."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Self

import aiohttp
import pytest
from botocore.awsrequest import AWSRequest
from tests.support.s3 import TestBuckets
from tests.support.stores import CACHE, KEY, attempts, s3_pair

from common.errors import StorageFault
from common.storage.base import Buckets
from common.storage.s3 import S3Storage, connect


async def test_a_missing_s3_bucket_is_a_fault_and_not_an_absent_key(s3_buckets: TestBuckets, tmp_path: Path) -> None:
    async with connect(s3_buckets.account) as client:
        gone = replace(s3_buckets, incoming="no-such-bucket")
        bucket = s3_pair(client, s3_buckets.account, gone, tmp_path).incoming
        assert isinstance(bucket, S3Storage)
        for attempt in attempts(bucket):
            with pytest.raises(StorageFault, match="no-such-bucket"):
                await attempt()
        with pytest.raises(StorageFault, match="no-such-bucket"):
            await bucket.identity(KEY)


async def test_a_refusal_and_an_unreachable_store_are_faults(s3_buckets: TestBuckets, tmp_path: Path) -> None:
    for account in (
        replace(s3_buckets.account, secret_key="wrong"),
        replace(s3_buckets.account, endpoint="http://127.0.0.1:9"),
    ):
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(connect(account))
            all_of_them = attempts(s3_pair(client, account, s3_buckets, tmp_path).incoming)
            # At once: the library tries each some times, and waits in between.
            for outcome in await asyncio.gather(*(attempt() for attempt in all_of_them), return_exceptions=True):
                assert isinstance(outcome, StorageFault), outcome
                assert "wrong" not in str(outcome)


async def test_only_a_large_body_waits_for_leave_to_be_sent(s3_buckets: TestBuckets, tmp_path: Path) -> None:
    waits = []

    def note(request: AWSRequest, **_: object) -> None:
        waits.append("Expect" in request.headers)

    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"photo")
    large.write_bytes(b"photo" * (1 << 20))
    async with connect(s3_buckets.account) as client:
        client.meta.events.register("request-created.s3", note)
        bucket = s3_pair(client, s3_buckets.account, s3_buckets, tmp_path).incoming
        await bucket.put(KEY, b"photo")
        await bucket.put_file(KEY, small)
        await bucket.put("tombstones/1475660224_1", b"", exclusive=True)
        assert waits == [False] * 3
        await bucket.put_file(KEY, large)
        assert waits[3:] == [True]
        assert await bucket.get(KEY) == large.read_bytes()


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
        other = s3_pair(client, replace(s3_buckets.account, region="elsewhere"), s3_buckets, tmp_path)
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


async def test_s3_with_the_old_signature(s3_buckets: TestBuckets, tmp_path: Path) -> None:
    account = replace(s3_buckets.account, signature_version="s3")
    async with connect(account) as client:
        buckets = s3_pair(client, account, s3_buckets, tmp_path)
        await buckets.incoming.put(KEY, b"photo")
        await buckets.active.copy_from(buckets.incoming, KEY)
        assert await buckets.active.get(KEY) == b"photo"


async def test_an_age_is_told_by_the_clock_of_the_store_alone(s3: Buckets, monkeypatch: pytest.MonkeyPatch) -> None:
    class Unknown(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            raise AssertionError(f"this machine's clock was asked, in {tz}")

    await s3.incoming.put(KEY, b"photo")
    monkeypatch.setattr("common.storage.s3.answers.datetime", Unknown)
    found = await s3.incoming.stat(KEY)
    assert found is not None
    assert -2 < found.age < 60
    assert [-2 < entry.age < 60 async for entry in s3.incoming.entries()] == [True]
