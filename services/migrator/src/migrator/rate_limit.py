"""A limit on how many originals a second are asked for."""

import asyncio


class RateLimit:
    """Allows `rate` turns a second, evenly spaced. Without a rate there is no limit."""

    def __init__(self, rate: float | None) -> None:
        self._interval = 1 / rate if rate else 0.0
        self._next = 0.0

    async def wait_turn(self) -> None:
        """Return when the caller's turn has come."""
        now = asyncio.get_running_loop().time()
        turn = max(now, self._next)
        self._next = turn + self._interval
        await asyncio.sleep(turn - now)
