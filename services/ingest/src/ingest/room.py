"""The room in TEMP_FOLDER, which uploads share while they are in hand.

Bytes count as they come, and not as they are announced: a body need not say how long it will be. When there is no room
for more, the upload goes that has taken most of it for longest, in bytes × seconds. That is nobody's who sends a photo,
however slowly: 1 MB in 5 minutes is less than 99 MB in 10 seconds.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from os import statvfs
from pathlib import Path

from common.http import RequestRefused

_ENDED = "others need the room that this upload has taken for long: try again"
_NONE_LEFT = "uploads have taken all the room there is: try again"


class Room:
    """Half of the folder's free space is for uploads: they are not all that is written there.

    One upload of `largest` bytes always has room as far as this is concerned.
    """

    def __init__(self, folder: Path, largest: int) -> None:
        self.folder = folder
        self._largest = largest
        self._shares: set[Share] = set()

    @contextmanager
    def share(self) -> Iterator["Share"]:
        """What one upload takes, until its file is gone."""
        share = Share(self)
        self._shares.add(share)
        try:
            yield share
        finally:
            self._shares.discard(share)

    def make(self, size: int, share: "Share") -> None:
        """Have room for `size` bytes more of the share. Raises Refused where others cannot make any, and OSError."""
        while self._held() + size > self._most():
            arriving = [one for one in self._shares if one.is_arriving]
            worst = max(arriving, key=lambda one: one.taken_for_seconds)
            if worst is share:
                raise RequestRefused(503, _NONE_LEFT)
            worst.end()
            self._shares.discard(worst)

    def _held(self) -> int:
        return sum(share.held for share in self._shares)

    def _most(self) -> int:
        found = statvfs(self.folder)
        return max(self._largest, (found.f_bavail * found.f_frsize + self._held()) // 2)


class Share:
    """One upload's part of the room: `held` bytes."""

    def __init__(self, room: Room) -> None:
        self.held = 0
        self._room = room
        self._began = asyncio.get_running_loop().time()
        self._arrival: asyncio.Timeout | None = None

    @property
    def is_arriving(self) -> bool:
        """Whether it still comes, and can be ended; what has come is soon done with."""
        return self._arrival is not None

    @property
    def taken_for_seconds(self) -> float:
        """Bytes × seconds."""
        return self.held * (asyncio.get_running_loop().time() - self._began)

    @asynccontextmanager
    async def arriving(self) -> AsyncIterator[None]:
        """Around the reading of the body. Raises Refused when the upload is ended for others' sake."""
        try:
            async with asyncio.timeout(None) as self._arrival:
                yield
        except TimeoutError as error:
            raise RequestRefused(503, _ENDED) from error
        finally:
            self._arrival = None

    def take(self, size: int) -> None:
        """Count `size` bytes more, before they are written. Raises Refused when there is no room, and OSError."""
        self._room.make(size, self)
        self.held += size

    def end(self) -> None:
        """Have its body read no further."""
        assert self._arrival is not None
        self._arrival.reschedule(asyncio.get_running_loop().time())
        self._arrival = None
