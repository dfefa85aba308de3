"""How many originals are in hand at once: fetched ahead of a free decoder, or rendered and not yet stored."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from common.errors import Postponed

# TEMP_FOLDER holds what is fetched, and in a container that is memory. A dozen photos of 12 megapixels.
_MOST_BYTES = 64 << 20

# Images in hand for each decoder. Of the 20 photos a second that two cores render with three decoders, eight are being
# fetched, rendered or stored, if the store is 80 ms away (`make bench ARGS=distance`).
_FOR_EACH_DECODER = 3


class OriginalsInHand:
    """Gives each image a place from before its original is fetched until its variants are stored.

    There is a place for as many images as there are decoders, however large they are, and for three times as many in
    all, if their originals have 64 MiB together at most. First come, first served. `fetch_wait` is how many seconds
    an image waits for its place.
    """

    def __init__(self, decoders: int, fetch_wait: float | None = None) -> None:
        self._decoders = decoders
        self._fetch_wait = fetch_wait
        self._sizes: list[int] = []
        self._next_in_line = asyncio.Lock()
        self._place_freed = asyncio.Event()

    @asynccontextmanager
    async def place(self, size: int) -> AsyncIterator[None]:
        """A place for an original of so many bytes. Raises Postponed where it does not come in time."""
        try:
            async with asyncio.timeout(self._fetch_wait), self._next_in_line:
                while not self._has_place(size):
                    self._place_freed.clear()
                    await self._place_freed.wait()
        except TimeoutError as error:
            raise Postponed("too many other images are being rendered") from error
        self._sizes.append(size)
        try:
            yield
        finally:
            self._sizes.remove(size)
            self._place_freed.set()

    def _has_place(self, size: int) -> bool:
        count = len(self._sizes)
        if count < self._decoders:
            return True
        return count < _FOR_EACH_DECODER * self._decoders and sum(self._sizes) + size <= _MOST_BYTES
