"""Folders that count what is asked of them, and can be made to wait or to fail."""

import asyncio
from pathlib import Path
from typing import Self

from common.errors import StorageFault
from common.storage.base import Entry
from common.storage.local import LocalStorage


class CountedStorage(LocalStorage):
    """A bucket whose `stat` and `get` are counted by key. `open_door` is cleared to make them wait."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.asked: list[str] = []
        self.away: set[str] = set()
        self.open_door = asyncio.Event()
        self.open_door.set()

    async def stat(self, key: str) -> Entry | None:
        await self._count(key)
        return await super().stat(key)

    async def get(self, key: str) -> bytes:
        await self._count(key)
        return await super().get(key)

    def times(self, key: str) -> int:
        """How often the key was asked for."""
        return self.asked.count(key)

    @classmethod
    def pair(cls, folder: Path) -> tuple[Self, Self]:
        """*incoming* and *active*."""
        return cls.open(folder / "incoming"), cls.open(folder / "active")

    async def _count(self, key: str) -> None:
        self.asked.append(key)
        await self.open_door.wait()
        if key in self.away:
            raise StorageFault(f"{key}: the store is away")
