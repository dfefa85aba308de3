"""Asking the source no more often than it is allowed."""

import asyncio


class RateLimit:
    """Lets `rate` turns a second begin, evenly; all at once without a rate."""

    def __init__(self, rate: float | None) -> None:
        self._interval = 1 / rate if rate else 0.0
        self._next = 0.0

    async def wait_turn(self) -> None:
        """Wait for one's turn."""
        now = asyncio.get_running_loop().time()
        begin = max(now, self._next)
        self._next = begin + self._interval
        await asyncio.sleep(begin - now)
