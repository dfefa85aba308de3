"""The dead letters of the embedded default, in a store that outlives its process.

A letter is one object. To replay it is to write into it that it is to be handled again. The process that serves finds
it, and removes it when its event was handled, or writes it anew when that failed once more.
"""

from dataclasses import dataclass, replace
from typing import Protocol

from common.messaging.dead_letters import MOST_LETTERS, DeadMessage, Done, Wanted, every_letter, not_told, oldest_first
from common.messaging.topology import WorkQueue


class LetterStore(Protocol):
    """Where dead letters are. Each method raises StorageFault."""

    async def put(self, letter: DeadMessage) -> None:
        """Store the letter, in the place of one with its key."""

    async def read(self) -> list[DeadMessage]:
        """All letters, in no order."""

    async def remove(self, letter: DeadMessage) -> None:
        """Remove the letter with this key, if there is one."""


class MemoryStore:
    """Letters that are lost with the process."""

    def __init__(self) -> None:
        self._letters: dict[str, DeadMessage] = {}

    async def put(self, letter: DeadMessage) -> None:
        """Store the letter."""
        self._letters[letter.key] = letter

    async def read(self) -> list[DeadMessage]:
        """All letters."""
        return list(self._letters.values())

    async def remove(self, letter: DeadMessage) -> None:
        """Remove the letter."""
        self._letters.pop(letter.key, None)


@dataclass(frozen=True)
class KeptLetters:
    """The letters of a store, as an operator works with them; the same methods as those of a bus."""

    store: LetterStore

    async def dead_letter_count(self, queue: WorkQueue) -> int:
        """How many dead letters of the queue there are."""
        return len(await self.dead_letters(queue))

    async def dead_letters(
        self, queue: WorkQueue, limit: int | None = None, wanted: Wanted = every_letter
    ) -> list[DeadMessage]:
        """`limit` of the `wanted` dead letters of the queue, oldest first."""
        found = [letter for letter in await self._read(to_replay=False) if letter.queue == queue.name]
        return [letter for letter in found if wanted(letter)][:limit]

    async def replays(self) -> list[DeadMessage]:
        """Those that are to be handled again."""
        return await self._read(to_replay=True)

    async def replay(
        self, queue: WorkQueue, limit: int = MOST_LETTERS, wanted: Wanted = every_letter, done: Done = not_told
    ) -> int:
        """Have the `wanted` dead letters handled again. Returns how many."""
        letters = await self.dead_letters(queue, limit, wanted)
        for letter in letters:
            await self.store.put(replace(letter, to_replay=True))
            done(letter)
        return len(letters)

    async def drop(
        self, queue: WorkQueue, limit: int = MOST_LETTERS, wanted: Wanted = every_letter, done: Done = not_told
    ) -> int:
        """Remove the `wanted` dead letters. Returns how many."""
        letters = await self.dead_letters(queue, limit, wanted)
        for letter in letters:
            await self.store.remove(letter)
            done(letter)
        return len(letters)

    async def _read(self, *, to_replay: bool) -> list[DeadMessage]:
        found = [letter for letter in await self.store.read() if letter.to_replay == to_replay]
        return oldest_first(found)
