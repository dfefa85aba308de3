"""A lock that is an object in a bucket, for work that one replica can do and that two replicas do without harm.

The object contains the holder's id and is written again every minute. An old one belongs to a process that died. If two
processes find it old at the same time, both may hold the lock.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import structlog

from common.cancellation import in_thread, to_the_end
from common.errors import KeyTaken, NoSuchKey, StorageFault
from common.storage.base import Storage
from common.storage.temporary import temporary_fault, temporary_path

log = structlog.get_logger()

STALE = 600.0  # seconds, by the store's clock
_REFRESH = 60.0  # seconds


def _fresh_id() -> bytes:
    return uuid4().hex.encode()


@dataclass(frozen=True)
class Lock:
    """The lock under `key`. `temporary` is a folder for the file that is stored there."""

    bucket: Storage
    key: str
    temporary: Path
    _id: bytes = field(default_factory=_fresh_id)

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[bool]:
        """Take the lock for the length of the block. Yields whether it was free. Raises StorageFull, StorageFault."""
        if not await self._acquire():
            yield False
            return
        refreshing = asyncio.create_task(self._refresh())
        try:
            yield True
        finally:
            await to_the_end(self._release(refreshing))

    async def _acquire(self) -> bool:
        there = await self.bucket.stat(self.key)
        if there is not None and there.age <= STALE:
            return False
        if there is not None:
            log.warning("a lock is taken from a process that died", key=self.key, seconds=round(there.age))
            await self.bucket.delete(self.key)
        path = temporary_path(self.temporary)
        try:
            await in_thread(path.write_bytes, self._id)
            await self.bucket.put_file(self.key, path, exclusive=True)
        except KeyTaken:
            return False
        except OSError as error:
            raise temporary_fault(self.temporary, error) from error
        finally:
            path.unlink(missing_ok=True)
        return True

    async def _release(self, refreshing: "asyncio.Task[None]") -> None:
        refreshing.cancel()
        await asyncio.gather(refreshing, return_exceptions=True)
        if await self._is_mine():
            await self.bucket.delete(self.key)

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(_REFRESH)
            try:
                if not await self._is_mine():
                    return
                await self.bucket.put(self.key, self._id)
            except StorageFault as fault:
                log.warning("a lock cannot be refreshed now", key=self.key, reason=str(fault))

    async def _is_mine(self) -> bool:
        try:
            return await self.bucket.get(self.key) == self._id
        except NoSuchKey:
            return False
