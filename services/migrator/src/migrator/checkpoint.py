"""Which images are finished, stored in *incoming*, so that the next run skips them without looking at each.

The checkpoint only saves time: for an image that is missing from it, the buckets tell whether it is finished. It is
written in pieces. Each piece is an object of lines `NAME STATE`. The last line of a name counts.
"""

import asyncio
import time
from dataclasses import dataclass, field

from common.cancellation import together
from common.storage.base import Storage
from migrator.index import MigrationIndex

FOLDER = "checkpoints"
DELETED = "deleted"  # the state of an image that was deleted; it stays deleted without its tombstone
_PIECE = 2_000  # images
_INTERVAL = 15.0  # seconds between two pieces; a run that was killed repeats at most as much
_AT_ONCE = 16  # pieces that are read at the same time


@dataclass
class Checkpoint:
    """The checkpoint of one job."""

    bucket: Storage
    job: str
    _waiting: list[tuple[str, str]] = field(default_factory=list)
    _written: float = field(default_factory=time.monotonic)
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def load(self, index: MigrationIndex) -> None:
        """Put the states into the index. Raises StorageFault."""
        keys = sorted([entry.key async for entry in self.bucket.entries(f"{FOLDER}/{self.job}-")])
        for start in range(0, len(keys), _AT_ONCE):
            for piece in await together(*(self.bucket.get(key) for key in keys[start : start + _AT_ONCE])):
                await index.add_done(_read(piece))

    async def add(self, name: str, state: str) -> None:
        """Add an image that is finished; write a piece when it is time. Raises StorageFault."""
        self._waiting.append((name, state))
        if len(self._waiting) >= _PIECE or time.monotonic() - self._written > _INTERVAL:
            await self.write()

    async def write(self) -> None:
        """Write what was added since the last piece. Raises StorageFault; the next call then tries again."""
        async with self._writing:
            self._written = time.monotonic()
            if piece := list(self._waiting):
                await self.bucket.put(self._key(), "".join(f"{name} {state}\n" for name, state in piece).encode())
                del self._waiting[: len(piece)]

    def _key(self) -> str:
        return f"{FOLDER}/{self.job}-{time.time_ns():020d}"


def _read(piece: bytes) -> list[tuple[str, str]]:
    lines = (line.split(" ") for line in piece.decode(errors="replace").splitlines())
    return [(line[0], line[1]) for line in lines if len(line) == 2]  # noqa: PLR2004 - a name and a state
