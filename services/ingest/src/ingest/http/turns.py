"""Whose body is received next, when many are received at once: that of which the least is still to come.

So a photo does not wait for the bodies of many large uploads. Every fourth turn is that of who has waited longest, so
that a large upload does not wait for the bodies of ever more photos.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_AT_ONCE = 2
_OLDEST_EVERY = 4  # turns


class Turns:
    """Lets a few pieces of bodies be received at once. Each has to be asked for."""

    def __init__(self) -> None:
        self._free = _AT_ONCE
        self._passed_on = 0
        self._waiting: dict[asyncio.Future[None], int] = {}  # the bytes that are still to come; oldest first

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
        self._waiting[turn] = to_come
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._end()
            raise

    def _end(self) -> None:
        """Pass the turn on. Whoever was cancelled has none."""
        while self._waiting:
            following = self._pop()
            if not following.done():
                following.set_result(None)
                return
        self._free += 1

    def _pop(self) -> asyncio.Future[None]:
        self._passed_on += 1
        if self._passed_on % _OLDEST_EVERY == 0:
            following = next(iter(self._waiting))
        else:
            following = min(self._waiting, key=self._waiting.__getitem__)
        del self._waiting[following]
        return following
