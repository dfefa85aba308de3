"""The dead letters of the embedded default, in stores that may outlive its process.

To replay a letter is to put it among the replays, and then to remove it from the dead letters. The process that serves
finds it there, and removes it when its event was handled, or when it is a dead letter once more. So it is always in one
of the two.
"""

from dataclasses import dataclass
from typing import Protocol

from common.messaging.dead_letters import MOST_LETTERS, DeadMessage, Done, Wanted, every_letter, not_told, oldest_first
from common.messaging.topology import WorkQueue


class LetterStore(Protocol):
    """Where letters are, by their keys. Each method raises StorageFault."""

    async def put(self, letter: DeadMessage) -> None:
        """Store the letter, in the place of one with its key."""

    async def count(self, queue: str) -> int:
        """How many letters of the queue there are."""

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

    async def count(self, queue: str) -> int:
        """How many letters of the queue there are."""
        return sum(letter.queue == queue for letter in self._letters.values())

    async def read(self) -> list[DeadMessage]:
        """All letters."""
        return list(self._letters.values())

    async def remove(self, letter: DeadMessage) -> None:
        """Remove the letter."""
        self._letters.pop(letter.key, None)


@dataclass(frozen=True)
class KeptLetters:
    """Dead letters as an operator works with them, by the methods of a bus. `replays` are to be handled again."""

    dead: LetterStore
    replays: LetterStore

    async def dead_letter_count(self, queue: WorkQueue) -> int:
        """How many dead letters of the queue there are."""
        return await self.dead.count(queue.name)

    async def dead_letters(
        self, queue: WorkQueue, limit: int = MOST_LETTERS, wanted: Wanted = every_letter
    ) -> list[DeadMessage]:
        """`limit` of the `wanted` dead letters of the queue, oldest first."""
        found = [letter for letter in await self.dead.read() if letter.queue == queue.name and wanted(letter)]
        return oldest_first(found)[:limit]

    async def replay(
        self, queue: WorkQueue, limit: int = MOST_LETTERS, wanted: Wanted = every_letter, done: Done = not_told
    ) -> int:
        """Have the `wanted` dead letters handled again. Returns how many."""
        letters = await self.dead_letters(queue, limit, wanted)
        for letter in letters:
            await self.replays.put(letter)
            await self.dead.remove(letter)
            done(letter)
        return len(letters)

    async def drop(
        self, queue: WorkQueue, limit: int = MOST_LETTERS, wanted: Wanted = every_letter, done: Done = not_told
    ) -> int:
        """Remove the `wanted` dead letters. Returns how many."""
        letters = await self.dead_letters(queue, limit, wanted)
        for letter in letters:
            await self.dead.remove(letter)
            done(letter)
        return len(letters)
