"""What the tests of storages share."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.support.s3 import TestBuckets

from common.storage.base import Buckets, Storage
from common.storage.s3 import S3Account, S3Storage

KEY = "1475660224_0882910455.jpg"
CACHE = "public, max-age=77"


def s3_pair(client: object, account: S3Account, buckets: TestBuckets, folder: Path) -> Buckets:
    """Both buckets, as the services open them."""
    return Buckets(
        S3Storage(client, account, buckets.incoming, acl="private", cache_control="", temporary=folder),
        S3Storage(client, account, buckets.active, acl="public-read", cache_control=CACHE, temporary=folder),
    )


def attempts(bucket: Storage) -> list[Callable[[], Awaitable[object]]]:
    """Things to do with a bucket that is not there, or says no."""

    async def listing() -> None:
        async for _ in bucket.entries():
            pass

    return [
        lambda: bucket.stat(KEY),
        lambda: bucket.get(KEY),
        lambda: bucket.put(KEY, b"x"),
        lambda: bucket.delete_all([KEY, "1_2.jpg"]),
        listing,
        bucket.check,
    ]
