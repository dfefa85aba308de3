"""Cancelling a piece of work at each point in turn at which it waits, and seeing what it leaves.

What a cancellation cannot stop is a thread: here they do their work before anybody can be cancelled who waits for it,
or after that.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import count
from types import coroutine
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Manner:
    """Whether threads do their work `late`, and whether who is cancelled is cancelled `again` wherever it waits then.

    As by a deadline within a shutdown.
    """

    late: bool
    again: bool

    def __str__(self) -> str:
        return f"{'late' if self.late else 'prompt'} threads, cancelled {'again' if self.again else 'once'}"


MANNERS = [Manner(late=late, again=again) for late in (False, True) for again in (False, True)]
_LATE = 0.003  # seconds; a cancellation takes none


class _Prompt(ThreadPoolExecutor):
    def submit(self, work: Callable[..., T], /, *arguments: Any, **options: Any) -> "Future[T]":
        done: Future[T] = Future()
        try:
            done.set_result(work(*arguments, **options))
        except BaseException as error:  # noqa: BLE001 - it is handed on
            done.set_exception(error)
        return done


class _Late(ThreadPoolExecutor):
    def __init__(self) -> None:
        super().__init__(max_workers=64)
        self.at_work = 0

    def submit(self, work: Callable[..., T], /, *arguments: Any, **options: Any) -> "Future[T]":
        ours = isinstance(work, partial)  # of asyncio.to_thread; an HTTP library reads what it sends by itself
        self.at_work += ours

        def late() -> T:
            time.sleep(_LATE)
            try:
                return work(*arguments, **options)
            finally:
                self.at_work -= ours

        return super().submit(late)


class Point:
    """The `number`th time that the work, or a task that it has started, waits for something."""

    def __init__(self, number: int, executor: _Prompt | _Late, *, again: bool) -> None:
        self.reached = False
        self._number = number
        self._again = again
        self._executor = executor
        self._passed = 0
        self._main: asyncio.Task[Any] | None = None

    async def interrupt(self, work: Coroutine[Any, Any, object]) -> bool:
        """Run the work and cancel it there. Returns whether it came to that point, and did not end well after all.

        Fails the test if anything of it is still at work afterwards.
        """
        loop = asyncio.get_running_loop()
        before = asyncio.all_tasks()
        loop.set_task_factory(self._task)
        try:
            self._main = loop.create_task(work)
            await asyncio.wait([self._main])
        finally:
            loop.set_task_factory(None)
        left = {task for task in asyncio.all_tasks() - before if not task.done()}
        assert not left, f"cancelled at point {self._number}, it has left at work: {left}"
        if isinstance(self._executor, _Late):
            assert not self._executor.at_work, f"cancelled at point {self._number}, it has left a thread at work"
        if self._main.cancelled():
            assert self.reached, "nobody has cancelled it"
            return True
        self._main.result()
        return False

    def _task(self, loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> "asyncio.Task[Any]":
        task = asyncio.Task(self._counted(work), loop=loop, **options)
        task.add_done_callback(lambda _: work.close())  # one that is cancelled at once has never begun
        return task

    @coroutine
    def _counted(self, work: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
        error: BaseException | None = None
        while True:
            try:
                awaited = work.send(None) if error is None else work.throw(error)
            except StopIteration as end:
                result: T = end.value
                return result
            error = None
            self._pass()
            try:
                yield awaited
            except BaseException as thrown:  # noqa: BLE001 - it is handed on
                error = thrown

    def _pass(self) -> None:
        self._passed += 1
        if self._passed == self._number or (self._passed > self._number and self._again):
            self.reached = True
            assert self._main is not None
            asyncio.get_running_loop().call_soon(self._main.cancel)


def points(manner: Manner, *, step: int = 1) -> Iterator[Point]:
    """Each point in turn, or one in `step`, up to where the work does not come any more. Within a running loop."""
    executor = _Late() if manner.late else _Prompt()
    asyncio.get_running_loop().set_default_executor(executor)
    for number in count(1, step):
        point = Point(number, executor, again=manner.again)
        yield point
        if not point.reached:
            assert number > 1, "the work waits for nothing"
            return
