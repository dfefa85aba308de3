"""An event loop in which waiting takes no time: when nothing else is left to do, its clock goes on to the next timer.

What a thread would do is done at once, so that a run depends on nothing but its seed. The loop serves no sockets.
"""

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class _Clock(selectors.SelectSelector):
    """What the loop waits with. `idle` is told, once, before the clock goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.idle: asyncio.Future[None] | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout == 0:
            return []
        if self.idle is not None:
            idle, self.idle = self.idle, None
            if not idle.done():
                idle.set_result(None)
        elif timeout is None:
            raise RuntimeError("everything waits, and for nothing that will happen")
        else:
            self.now += timeout
        return []


class InstantLoop(asyncio.SelectorEventLoop):
    """The loop. Its time begins at 0."""

    def __init__(self) -> None:
        self._clock = _Clock()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now

    async def idle(self) -> None:
        """Wait until everybody else waits. One task may do so at a time."""
        self._clock.idle = self.create_future()
        await self._clock.idle

    def run_in_executor(self, _: Executor | None, func: Callable[..., T], *arguments: object) -> "asyncio.Future[T]":
        done = self.create_future()
        try:
            done.set_result(func(*arguments))
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller has to get it
            done.set_exception(error)
        return done
