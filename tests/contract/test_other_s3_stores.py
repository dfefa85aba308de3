"""S3 stores that can do less than the one of the tests, or answer otherwise."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.support.s3 import TestBuckets
from tests.support.stores import KEY, s3_pair

from common.errors import KeyTaken, NotDeleted, StorageFault
from common.storage.s3 import connect


class OtherStore:
    """A client of a store that is like the real one, but for what it answers with `code`."""

    def __init__(self, client: Any, code: str) -> None:
        self._client = client
        self._code = code

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def _refusal(self, operation: str, status: int = 404) -> ClientError:
        answer = {"Error": {"Code": self._code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}
        return ClientError(answer, operation)


class PlainStore(OtherStore):
    """It knows neither ACLs nor conditions."""

    async def put_object(self, **request: Any) -> Any:
        await asyncio.sleep(0.01)
        if "ACL" in request or (self._code == "NotImplemented" and "IfNoneMatch" in request):
            raise self._refusal("PutObject")
        return await self._client.put_object(**request)


class SingleStore(OtherStore):
    """It deletes one object at a time."""

    asked = 0
    status = 501

    async def delete_objects(self, **_: Any) -> Any:
        self.asked += 1
        raise self._refusal("DeleteObjects", self.status)


class ReportingStore(OtherStore):
    """It reports an object that it could not delete this time, and one that does not exist."""

    async def delete_objects(self, **request: Any) -> Any:
        first, *others = [item["Key"] for item in request["Delete"]["Objects"]]
        await asyncio.gather(*(self._client.delete_object(Bucket=request["Bucket"], Key=key) for key in others))
        return {"Errors": [{"Key": first, "Message": "busy"}, {"Key": others[-1], "Code": "NoSuchKey"}]}


class StrictStore(SingleStore):
    """It deletes one object at a time, and reports one that does not exist."""

    async def delete_object(self, **request: Any) -> Any:
        if KEY not in request["Key"]:
            raise ClientError(
                {"Error": {"Code": "NoSuchKey"}, "ResponseMetadata": {"HTTPStatusCode": 404}}, "DeleteObject"
            )
        return await self._client.delete_object(**request)


class AwayStore(OtherStore):
    """It deletes nothing."""

    asked = 0
    status = 503

    async def delete_objects(self, **_: Any) -> Any:
        self.asked += 1
        raise self._refusal("DeleteObjects", self.status)

    async def delete_object(self, **_: Any) -> Any:
        self.asked += 1
        raise self._refusal("DeleteObject", 503)


class StuckStore(OtherStore):
    """It deletes all but one object."""

    async def delete_objects(self, **request: Any) -> Any:
        objects = [item for item in request["Delete"]["Objects"] if item["Key"] != KEY]
        await self._client.delete_objects(Bucket=request["Bucket"], Delete={"Objects": objects})
        return {"Errors": [{"Key": KEY, "Code": self._code, "Message": "no"}]}

    async def delete_object(self, **request: Any) -> Any:
        assert request["Key"] == KEY, "the others are gone"
        raise self._refusal("DeleteObject")


class ProxiedStore(OtherStore):
    """It is away, behind a proxy that answers 404 for it."""

    async def get_object(self, **_: Any) -> Any:
        raise self._refusal("GetObject")


@pytest.mark.parametrize("code", ["AccessControlListNotSupported", "NotImplemented"])
async def test_a_store_without_acls_or_conditions_is_used_without(
    s3_buckets: TestBuckets, tmp_path: Path, code: str
) -> None:
    (tmp_path / "upload").write_bytes(b"photo")
    async with connect(s3_buckets.account) as client:
        bucket = s3_pair(PlainStore(client, code), s3_buckets.account, s3_buckets, tmp_path).incoming
        names = [f"{number}_1.jpg" for number in range(4)]
        await asyncio.gather(*(bucket.put_file(name, tmp_path / "upload", exclusive=True) for name in names))
        assert {entry.key async for entry in bucket.entries()} == set(names)
        assert await bucket.get(names[0]) == b"photo"
        with pytest.raises(KeyTaken):
            await bucket.put_file(names[0], tmp_path / "upload", exclusive=True)


@pytest.mark.parametrize("code", ["NotImplemented", "MissingContentMD5", "InvalidRequest", "404"])
@pytest.mark.parametrize("kind", [SingleStore, ReportingStore])
async def test_a_store_that_deletes_no_or_not_all_objects_at_once(
    s3_buckets: TestBuckets, tmp_path: Path, code: str, kind: type[OtherStore]
) -> None:
    async with connect(s3_buckets.account) as client:
        bucket = s3_pair(kind(client, code), s3_buckets.account, s3_buckets, tmp_path).incoming
        for key in (KEY, "1_2.jpg", "3_4.jpg"):
            await bucket.put(key, b"photo")
        for _ in range(2):
            await bucket.delete_all([KEY, "1_2.jpg"])
        assert [entry.key async for entry in bucket.entries()] == ["3_4.jpg"]


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_store_that_deletes_nothing_is_not_asked_for_every_object(
    s3_buckets: TestBuckets, tmp_path: Path, *, at_once: bool
) -> None:
    keys = [f"1475660224_{number}.jpg" for number in range(3000)]
    async with connect(s3_buckets.account) as client:
        store = AwayStore(client, "SlowDown")
        store.status = 503 if at_once else 405
        bucket = s3_pair(store, s3_buckets.account, s3_buckets, tmp_path).incoming
        with pytest.raises(NotDeleted, match=r"1475660224_0\.jpg and 2999 more \(.*no\)") as fault:
            await bucket.delete_all(keys)
        assert fault.value.keys == set(keys), "those it was not asked for may be left, too"
        assert store.asked <= 40


async def test_what_could_not_be_deleted_is_named(s3_buckets: TestBuckets, tmp_path: Path) -> None:
    async with connect(s3_buckets.account) as client:
        bucket = s3_pair(StuckStore(client, "AccessDenied"), s3_buckets.account, s3_buckets, tmp_path).incoming
        for key in (KEY, "1_2.jpg", "3_4.jpg"):
            await bucket.put(key, b"photo")
        with pytest.raises(NotDeleted, match=f"{KEY} .*AccessDenied no") as fault:
            await bucket.delete_all(["1_2.jpg", KEY, "3_4.jpg"])
        assert fault.value.keys == {KEY}
        assert [entry.key async for entry in bucket.entries()] == [KEY]


@pytest.mark.parametrize(("status", "asked"), [(501, 1), (400, 1), (503, 2)])
async def test_a_store_that_was_only_busy_is_asked_again_to_delete_objects_at_once(
    s3_buckets: TestBuckets, tmp_path: Path, status: int, asked: int
) -> None:
    async with connect(s3_buckets.account) as client:
        store = SingleStore(client, "SlowDown")
        store.status = status
        bucket = s3_pair(store, s3_buckets.account, s3_buckets, tmp_path).incoming
        for _ in range(2):
            await bucket.delete_all([KEY, "1_2.jpg"])
        assert store.asked == asked


async def test_a_store_may_report_that_what_is_to_be_deleted_does_not_exist(
    s3_buckets: TestBuckets, tmp_path: Path
) -> None:
    async with connect(s3_buckets.account) as client:
        bucket = s3_pair(StrictStore(client, "NotImplemented"), s3_buckets.account, s3_buckets, tmp_path).incoming
        await bucket.put(KEY, b"photo")
        await bucket.delete_all(["absent.jpg", KEY])
        await bucket.delete("absent.jpg")
        assert await bucket.stat(KEY) is None


async def test_a_404_of_a_proxy_is_a_fault_and_not_an_absent_key(s3_buckets: TestBuckets, tmp_path: Path) -> None:
    async with connect(s3_buckets.account) as client:
        bucket = s3_pair(ProxiedStore(client, "404"), s3_buckets.account, s3_buckets, tmp_path).incoming
        for attempt in (bucket.stat(KEY), bucket.get(KEY)):
            with pytest.raises(StorageFault):
                await attempt
