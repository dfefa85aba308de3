"""The part of `python -m SERVICE check` that tries on the real store what the bucket protocol needs."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from uuid import uuid4

from common.errors import BusFault, JobFault, NoSuchKey, StorageFault
from common.storage.base import Buckets, Storage

_CLOCKS = 60.0  # seconds that the clocks may differ
_STEP_SECONDS = 10.0  # the S3 library itself would retry for a minute and a half
_INCOMING = "an object can be put into incoming, and read"
_ACTIVE = "an object can be put into active"
_COPY = "it can be copied from incoming to active"
_APART = "incoming and active are two places"

CheckResult = tuple[str, str | None]  # the step, and what is wrong or None


class CheckFailed(Exception):
    """A step found something wrong; the message says what."""


async def try_step(what: str, step: Callable[[], Awaitable[object]], seconds: float = _STEP_SECONDS) -> CheckResult:
    """Try one step."""
    try:
        async with asyncio.timeout(seconds):
            await step()
    except TimeoutError:
        return what, f"no answer within {seconds:g} s"
    except (CheckFailed, StorageFault, NoSuchKey, BusFault, JobFault) as fault:
        return what, str(fault) or type(fault).__name__
    return what, None


def missing_folders(folders: Mapping[str, Path]) -> str | None:
    """What is wrong where a folder is missing, by the names of the settings; None where all are there.

    A service makes the folder when it starts. A check that made it would pass for a name that is mistyped.
    """
    missing = [f"{name} {folder}" for name, folder in folders.items() if not _is_folder(folder)]
    if not missing:
        return None
    return f"{', '.join(missing)}: there is no such folder; expected one that a service has made, or that you make"


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


@contextmanager
def removing_new_folders(*folders: Path) -> Iterator[None]:
    """Afterwards, remove the folders that are empty and were not there before, and those above them."""
    missing = [path for folder in folders for path in (folder, *folder.parents) if not _is_folder(path)]
    try:
        yield
    finally:
        for path in missing:
            with suppress(OSError):  # another process uses it by now
                path.rmdir()


async def check_buckets(buckets: Buckets) -> AsyncIterator[CheckResult]:
    """Try what the services do with the buckets, step by step.

    A step that needs one that has failed is left out, and not reported. What was written is removed at the end.
    """
    key = f"0000000000_{uuid4().int % 10**10:010d}check.jpg"
    for name, bucket in (("incoming", buckets.incoming), ("active", buckets.active)):
        reached = await try_step(f"{name} can be reached", bucket.check)
        yield reached
        if reached[1] is not None:
            return
    failed: set[str] = set()
    try:
        for what, step, needs in _steps(buckets, key):
            if failed.isdisjoint(needs):
                found = await try_step(what, step)
                yield found
                if found[1] is None:
                    continue
            failed.add(what)
    finally:
        for bucket in (buckets.incoming, buckets.active):
            for written in _keys(key):
                await try_step("", partial(bucket.delete, written))  # whether deleting works has been reported


def _keys(key: str) -> list[str]:
    return [key, f"{key[:-4]}.png"]


def _steps(buckets: Buckets, key: str) -> list[tuple[str, Callable[[], Awaitable[object]], set[str]]]:
    """The steps: each with its name, its function, and the steps that it needs."""
    incoming, active = buckets.incoming, buckets.active
    return [
        (_INCOMING, lambda: _check_put(incoming, key), set()),
        (_APART, lambda: _check_apart(active, key), {_INCOMING}),
        ("nobody else can read what is in incoming", lambda: _check_private(incoming, key), {_INCOMING}),
        (_COPY, lambda: _check_copy(buckets, key), {_INCOMING, _APART}),
        ("everybody can read the copy, as an image", lambda: _check_public(active, key), {_COPY}),
        (_ACTIVE, lambda: active.put(key, b"check"), {_APART}),
        ("everybody can read it, as an image", lambda: _check_public(active, key), {_ACTIVE}),
        ("objects can be listed", lambda: _check_listed(buckets, key), {_INCOMING, _ACTIVE}),
        ("the store's clock is this machine's", lambda: _check_clock(incoming, key), {_INCOMING}),
        ("an object without content is found", lambda: _check_empty(incoming, key), {_INCOMING}),
        ("objects can be deleted", lambda: _check_delete(buckets, key), {_INCOMING, _ACTIVE}),
        ("several objects can be deleted at once", lambda: _check_delete_all(buckets, key), {_INCOMING, _ACTIVE}),
    ]


async def _check_put(bucket: Storage, key: str) -> None:
    await bucket.put(key, b"check")
    if await bucket.get(key) != b"check":
        raise CheckFailed("what is read is not what was put")


async def _check_apart(active: Storage, key: str) -> None:
    if await active.stat(key) is not None:
        raise CheckFailed(
            "what is put into incoming is in active, too, and so public: expected two buckets, or two folders"
        )


async def _check_private(bucket: Storage, key: str) -> None:
    found = await bucket.anonymous_access(key)
    if found.readable:
        raise CheckFailed("anybody can read it without credentials")


async def _check_copy(buckets: Buckets, key: str) -> None:
    await buckets.active.copy_from(buckets.incoming, key)
    if await buckets.active.get(key) != b"check":
        raise CheckFailed("the copy is not what was copied")


async def _check_public(bucket: Storage, key: str) -> None:
    found = await bucket.anonymous_access(key)
    if found.readable is False:
        raise CheckFailed("it cannot be read without credentials: the site's visitors would see nothing")
    if found.content_type not in (None, "image/jpeg"):
        raise CheckFailed(f"its content type is {found.content_type}: expected image/jpeg")


async def _check_listed(buckets: Buckets, key: str) -> None:
    for bucket in (buckets.incoming, buckets.active):
        if key not in [entry.key async for entry in bucket.entries(key[:-4])]:
            raise CheckFailed("an object that was put is not among those listed")


async def _check_clock(bucket: Storage, key: str) -> None:
    await bucket.put(key, b"check")
    found = await bucket.stat(key)
    before = time.time()
    if found is None or abs(found.age) > _CLOCKS:
        age = "unknown" if found is None else f"{found.age:.0f} s"
        raise CheckFailed(f"what was put at this moment has the age {age}, at {before:.0f}")


async def _check_delete(buckets: Buckets, key: str) -> None:
    for bucket in (buckets.incoming, buckets.active):
        await bucket.delete(key)
        if await bucket.stat(key) is not None:
            raise CheckFailed("an object that was deleted is still there")


async def _check_delete_all(buckets: Buckets, key: str) -> None:
    for bucket in (buckets.incoming, buckets.active):
        for written in _keys(key):
            await bucket.put(written, b"check")
        await bucket.delete_all(_keys(key))
        if any([await bucket.stat(written) is not None for written in _keys(key)]):
            raise CheckFailed("of two objects that were deleted at once, one is still there")


async def _check_empty(bucket: Storage, key: str) -> None:
    await bucket.put(key, b"")
    found = await bucket.stat(key)
    if found is None or found.bytes:
        raise CheckFailed("an object without content, as a tombstone is one, is not found")
