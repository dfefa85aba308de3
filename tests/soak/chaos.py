"""Faults, one after another: each kind once, in an order that the seed decides, and then all of them again."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence

from tests.soak.faults import Fault

_PERIOD = 25.0  # seconds from the beginning of one fault to that of the next
_LONGEST = 20.0  # seconds of one fault, at most; a broker that was killed needs some more to start
_SHORTEST = 3.0


class Chaos:
    """Injects faults, and counts them and their seconds."""

    def __init__(self, faults: Sequence[Fault], seed: int) -> None:
        self.injected: Counter[str] = Counter()
        self.seconds = 0.0
        self._random = random.Random(seed)
        self._faults = faults
        self._to_come: list[Fault] = []

    async def run(self, stop: asyncio.Event) -> None:
        """A fault in each period, until told to stop; the last one is mended first."""
        while not stop.is_set():
            if not self._to_come:
                self._to_come = self._random.sample(self._faults, len(self._faults))
            began = time.monotonic()
            await self._inject(self._to_come.pop(), self._random.uniform(_SHORTEST, _LONGEST))
            spent = time.monotonic() - began
            self.seconds += spent
            await asyncio.sleep(_PERIOD - spent)

    async def _inject(self, fault: Fault, length: float) -> None:
        await fault.begin()
        try:
            await asyncio.sleep(length)
        finally:
            await fault.end()
        self.injected[fault.name] += 1
