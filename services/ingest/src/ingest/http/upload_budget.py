"""How much of TEMP_FOLDER the uploads that are being received may take together.

Bytes are counted as they arrive, because a body need not say its length. When there is no room for more, the upload
with the most bytes × seconds is ended. A photo is never that upload, however slowly it is sent: 1 MB in 5 minutes is
less than 99 MB in 10 seconds.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from os import statvfs
from pathlib import Path

from common.http import RequestRefused
from ingest.http.turns import Turns

_ENDED = "this upload was ended because others need its room: try again"
_NONE_LEFT = "other uploads have taken all the room: try again"


class UploadBudget:
    """The room for uploads: half of the folder's free space, because others write to the folder, too.

    The room is never less than one upload of `largest` bytes.
    """

    def __init__(self, folder: Path, largest: int) -> None:
        self.folder = folder
        self.turns = Turns()
        self._largest = largest
        self._shares: set[UploadShare] = set()

    @contextmanager
    def share(self) -> Iterator["UploadShare"]:
        """The share of one upload, until its file is removed."""
        share = UploadShare(self)
        self._shares.add(share)
        try:
            yield share
        finally:
            self._shares.discard(share)

    def make_room(self, size: int, share: "UploadShare") -> None:
        """End other uploads until `share` can take `size` bytes more. Raises RequestRefused, and OSError."""
        while self._taken() + size > self._most():
            arriving = [one for one in self._shares if one.is_arriving]
            costliest = max(arriving, key=lambda one: one.byte_seconds)
            if costliest is share:
                raise RequestRefused(503, _NONE_LEFT)
            costliest.end()
            self._shares.discard(costliest)

    def _taken(self) -> int:
        return sum(share.taken for share in self._shares)

    def _most(self) -> int:
        found = statvfs(self.folder)
        return max(self._largest, (found.f_bavail * found.f_frsize + self._taken()) // 2)


class UploadShare:
    """What one upload has taken: `taken` bytes."""

    def __init__(self, budget: UploadBudget) -> None:
        self.taken = 0
        self._budget = budget
        self._began = asyncio.get_running_loop().time()
        self._arrival: asyncio.Timeout | None = None

    @property
    def is_arriving(self) -> bool:
        """Whether the body is still being read. Only then can the upload be ended."""
        return self._arrival is not None

    @property
    def byte_seconds(self) -> float:
        """Bytes × seconds since the upload began."""
        return self.taken * (asyncio.get_running_loop().time() - self._began)

    @asynccontextmanager
    async def arriving(self) -> AsyncIterator[None]:
        """Surrounds the reading of the body. Raises RequestRefused when the upload is ended in favour of others."""
        try:
            async with asyncio.timeout(None) as self._arrival:
                yield
        except TimeoutError as error:
            raise RequestRefused(503, _ENDED) from error
        finally:
            self._arrival = None

    def take(self, size: int) -> None:
        """Count `size` bytes more, before they are written. Raises RequestRefused without room, and OSError."""
        self._budget.make_room(size, self)
        self.taken += size

    def end(self) -> None:
        """Stop reading the body."""
        assert self._arrival is not None
        self._arrival.reschedule(asyncio.get_running_loop().time())
        self._arrival = None
