"""`python -m SERVICE check`: whether the settings, the broker and the real store do what the rules need."""

import time
from collections.abc import AsyncIterator
from uuid import uuid4

from common.errors import NoSuchKey, StorageFault
from common.storage import Buckets, Storage

_CLOCKS = 60.0  # seconds that two clocks may differ without anybody minding


class Failed(Exception):
    """What was looked at is not as it has to be; the message says how it is."""


async def check_buckets(buckets: Buckets) -> AsyncIterator[tuple[str, str | None]]:
    """What was tried, and what is wrong with it or None, one after another. Leaves nothing behind."""
    key = f"0000000000_{uuid4().int % 10**10:010d}check.jpg"
    try:
        for what, step in (
            ("incoming can be reached", buckets.incoming.check),
            ("active can be reached", buckets.active.check),
            ("an object can be put into incoming, and read", lambda: _put(buckets.incoming, key)),
            ("nobody else can read what is in incoming", lambda: _private(buckets.incoming, key)),
            ("it can be copied from incoming to active", lambda: _copy(buckets, key)),
            ("everybody can read the copy, as an image", lambda: _public(buckets.active, key)),
            ("an object can be put into active", lambda: buckets.active.put(key, b"check")),
            ("everybody can read it, as an image", lambda: _public(buckets.active, key)),
            ("objects can be listed", lambda: _listed(buckets, key)),
            ("the store's clock is this machine's", lambda: _clock(buckets.incoming, key)),
            ("objects can be deleted", lambda: _delete(buckets, key)),
        ):
            try:
                await step()
            except (Failed, StorageFault, NoSuchKey) as fault:
                yield what, str(fault) or type(fault).__name__
            else:
                yield what, None
    finally:
        for bucket in (buckets.incoming, buckets.active):
            try:
                await bucket.delete(key)
            except StorageFault:
                continue  # it has been said that this does not work


async def _put(bucket: Storage, key: str) -> None:
    await bucket.put(key, b"check")
    if await bucket.get(key) != b"check":
        raise Failed("what is read is not what was put")


async def _private(bucket: Storage, key: str) -> None:
    found = await bucket.as_stranger(key)
    if found.readable:
        raise Failed("anybody can read it without credentials")


async def _copy(buckets: Buckets, key: str) -> None:
    await buckets.active.copy_from(buckets.incoming, key)
    if await buckets.active.get(key) != b"check":
        raise Failed("the copy is not what was copied")


async def _public(bucket: Storage, key: str) -> None:
    found = await bucket.as_stranger(key)
    if found.readable is False:
        raise Failed("it cannot be read without credentials: the site's visitors would see nothing")
    if found.content_type not in (None, "image/jpeg"):
        raise Failed(f"its content type is {found.content_type}: expected image/jpeg")


async def _listed(buckets: Buckets, key: str) -> None:
    for bucket in (buckets.incoming, buckets.active):
        if key not in [entry.key async for entry in bucket.entries(key[:-4])]:
            raise Failed("an object that was put is not among those listed")


async def _clock(bucket: Storage, key: str) -> None:
    await bucket.put(key, b"check")
    found = await bucket.stat(key)
    before = time.time()
    if found is None or abs(found.age) > _CLOCKS:
        age = "unknown" if found is None else f"{found.age:.0f} s"
        raise Failed(f"what was put at this moment has the age {age}, at {before:.0f}")


async def _delete(buckets: Buckets, key: str) -> None:
    for bucket in (buckets.incoming, buckets.active):
        await bucket.delete(key)
        if await bucket.stat(key) is not None:
            raise Failed("an object that was deleted is still there")
