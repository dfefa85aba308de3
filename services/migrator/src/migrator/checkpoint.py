"""What is done already, kept in *incoming*, so that the next run knows it at a glance.

It is only a shortcut: what is missing from it is found out from the buckets, image by image. It is written in pieces,
each an object of lines `NAME STATE`, of which the later counts.
"""

import asyncio
import time
from dataclasses import dataclass, field

from common.cancellation import together
from common.storage.base import Storage
from migrator.index import MigrationIndex

FOLDER = "checkpoints"
DELETED = "deleted"  # the state of what was deleted since, and stays so when its tombstone has been removed
_PIECE = 2_000  # images
_INTERVAL = 15.0  # seconds; so much of the looking has to be done again after a kill
_AT_ONCE = 16


@dataclass
class Checkpoint:
    """Reads and writes the checkpoint of one kind of job."""

    bucket: Storage
    job: str
    _waiting: list[tuple[str, str]] = field(default_factory=list)
    _written: float = field(default_factory=time.monotonic)
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def load(self, ledger: MigrationIndex) -> None:
        """Tell the ledger what is done. Raises StorageFault."""
        keys = sorted([entry.key async for entry in self.bucket.entries(f"{FOLDER}/{self.job}-")])
        for start in range(0, len(keys), _AT_ONCE):
            for piece in await together(*(self.bucket.get(key) for key in keys[start : start + _AT_ONCE])):
                await ledger.add_done(_read(piece))

    async def add(self, name: str, state: str) -> None:
        """Note an image that is done. Raises StorageFault."""
        self._waiting.append((name, state))
        if len(self._waiting) >= _PIECE or time.monotonic() - self._written > _INTERVAL:
            await self.write()

    async def write(self) -> None:
        """Write what waits. Raises StorageFault, and keeps it then."""
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
