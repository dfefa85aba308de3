"""Work that a cancellation must not leave half done.

asyncio cancels the waiting task, not the work: a thread goes on, and a store may still carry out a request. Code that
removes what such work makes therefore waits for its end first. Libraries also raise CancelledError for calls that they
abandon.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from functools import partial
from typing import Any, ParamSpec, TypeVar, overload

P = ParamSpec("P")
T = TypeVar("T")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")


def is_cancelled() -> bool:
    """Whether somebody cancels the current task. If nobody does, a CancelledError is no order to stop."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def to_the_end(work: Awaitable[T], *, on_cancel: Callable[["asyncio.Future[T]"], object] | None = None) -> T:
    """What `work` returns or raises. A cancellation, or several, is raised once the work has ended.

    `on_cancel` is called with the running work at the first one, to make it end sooner.
    """
    running = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError as error:
            if cancelled is None and on_cancel is not None:
                on_cancel(running)
            cancelled = error
    if cancelled is None:
        return running.result()
    if not running.cancelled():
        running.exception()  # else asyncio would log it as never retrieved
    raise cancelled


@overload
async def together(one: Awaitable[T1], two: Awaitable[T2], /) -> tuple[T1, T2]: ...
@overload
async def together(one: Awaitable[T1], two: Awaitable[T2], three: Awaitable[T3], /) -> tuple[T1, T2, T3]: ...
@overload
async def together(
    one: Awaitable[T1], two: Awaitable[T2], three: Awaitable[T3], four: Awaitable[T4], /
) -> tuple[T1, T2, T3, T4]: ...
@overload
async def together(*works: Awaitable[T]) -> tuple[T, ...]: ...
async def together(*works: Awaitable[Any]) -> tuple[Any, ...]:
    """What all of them return, in their order; they run at once.

    When one raises, or this is cancelled, the others are cancelled and have ended when that is raised. (What
    asyncio.gather is given goes on.)
    """
    running = [asyncio.ensure_future(work) for work in works]
    try:
        return tuple(await asyncio.gather(*running))
    except (Exception, asyncio.CancelledError):
        for one in running:
            one.cancel()
        await to_the_end(asyncio.gather(*running, return_exceptions=True))
        raise


async def first_to_end(*tasks: asyncio.Task[None]) -> None:
    """Return when one of the tasks has ended, unless somebody has cancelled that one. Raises what it raised.

    Where all were cancelled, it goes on until it is cancelled, too.
    """
    going = set(tasks)
    while going:
        ended, going = await asyncio.wait(going, return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            if not task.cancelling():
                task.result()
                return
    await asyncio.Event().wait()


async def in_thread(work: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """What `work` returns or raises, run in a thread. A cancellation is raised once the thread has done it."""
    called = partial(copy_context().run, work, *arguments, **options)
    return await to_the_end(asyncio.get_running_loop().run_in_executor(None, called))
