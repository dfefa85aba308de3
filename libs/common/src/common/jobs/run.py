"""Processing very many images, several at once, with retries over outages."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import TypeVar

import structlog

from common.backoff import jittered
from common.errors import JobFault, StorageFull, Transient

log = structlog.get_logger()

# Seconds between attempts at one image while the store or the broker is away: about five minutes in all.
_RETRY_DELAYS = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 60.0, 60.0, 60.0)

T = TypeVar("T")
R = TypeVar("R")


async def process_all(
    items: AsyncIterator[T], work: Callable[[T], Awaitable[R]], on_end: Callable[[R], None], *, at_once: int
) -> None:
    """Call `work` with each item, `at_once` at a time, and `on_end` with what it returns.

    `work` may be called again for the same item after a Transient fault. Raises JobFault when such a fault lasts, or
    `work` raises it.
    """
    try:
        await _all(items, work, on_end, at_once)
    except BaseExceptionGroup as group:
        # A fault of the listing itself is not retried: a listing cannot be continued.
        faults, others = group.split((JobFault, Transient))
        if others is not None or faults is None:
            raise
        first = _first(faults)
        raise first if isinstance(first, JobFault) else JobFault(f"cannot go on: {first}") from first


async def _all(
    items: AsyncIterator[T], work: Callable[[T], Awaitable[R]], on_end: Callable[[R], None], at_once: int
) -> None:
    slots = asyncio.Semaphore(at_once)

    async def one(item: T) -> None:
        try:
            on_end(await retry_transient(partial(work, item), str(item)))
        finally:
            slots.release()

    async with asyncio.TaskGroup() as tasks:
        async for item in items:
            await slots.acquire()
            tasks.create_task(one(item))


async def retry_transient(work: Callable[[], Awaitable[T]], image: str) -> T:
    """What `work` returns. A Transient fault is retried. Raises JobFault when that lasts."""
    for delay in map(jittered, _RETRY_DELAYS):
        try:
            return await work()
        except StorageFull as fault:
            raise JobFault(f"there is no room left: {fault}") from fault
        except Transient as fault:
            reason = str(fault) or type(fault).__name__
            log.warning("image will be retried", image=image, seconds=round(delay, 1), reason=reason)
            await asyncio.sleep(delay)
    try:
        return await work()
    except Transient as fault:
        raise JobFault(f"cannot go on: {fault or type(fault).__name__}; run it again when that is mended") from fault


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
