"""Whose body is received next, when many are received at once: that of which the least is still to come.

So a photo does not wait for the bodies of many large uploads.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from heapq import heappop, heappush
from itertools import count

_AT_ONCE = 2


class Turns:
    """Lets a few pieces of bodies be received at once. Each has to be asked for."""

    def __init__(self) -> None:
        self._free = _AT_ONCE
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._number = count()

    @asynccontextmanager
    async def turn(self, to_come: int) -> AsyncIterator[None]:
        """Surrounds a piece of a body of which so many bytes are still to come. Waits for its turn."""
        await self._begin(to_come)
        try:
            yield
        finally:
            self._end()

    async def _begin(self, to_come: int) -> None:
        if self._free > 0:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        heappush(self._waiting, (to_come, next(self._number), turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._end()
            raise

    def _end(self) -> None:
        """Pass the turn on. Whoever was cancelled has none."""
        while self._waiting:
            _, _, turn = heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
