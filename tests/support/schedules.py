"""Every schedule of a run within a bound: the run is repeated, and another choice is made each time.

A schedule is told by its path, the choices that are not the first: `12:1 30:2` takes the second option at the 12th
choice and the third at the 30th, and elsewhere the first, with which a process goes on until it ends or waits.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import NamedTuple


class Bound(NamedTuple):
    """How many preemptions and how many faults a schedule may have, and how many of both."""

    preemptions: int
    faults: int
    both: int

    def less(self, preemptions: int, faults: int) -> "Bound":
        return Bound(self.preemptions - preemptions, self.faults - faults, self.both - preemptions - faults)

    def allows(self, other: "Bound") -> bool:
        """Whether whatever is within the other bound is within this one."""
        return all(mine >= its for mine, its in zip(self, other, strict=True))

    @property
    def is_kept(self) -> bool:
        return min(self) >= 0


class Option(NamedTuple):
    """One thing that can happen next, and what it costs of the bound."""

    what: Hashable
    is_offered: bool = True
    preemptions: int = 0
    faults: int = 0


class SeenBefore(Exception):
    """The state was reached before, with as much of the bound left: what follows is known."""


Path = tuple[tuple[int, int], ...]  # number of a choice, and the option taken


class Search:
    """The schedules that are still to be run. `cut` is how many ended in a state that had been seen before."""

    def __init__(self, bound: Bound) -> None:
        self.bound = bound
        self.run = 0
        self.cut = 0
        self.states: dict[Hashable, list[Bound]] = {}
        self._pending: list[Path] = [()]

    def __str__(self) -> str:
        return f"{self.run} schedules, {len(self.states)} states; {self.cut} schedules ended where another had been"

    def schedules(self) -> Iterator["Schedule"]:
        while self._pending:
            self.run += 1
            yield Schedule(self._pending.pop(), self)

    def add(self, path: Path) -> None:
        self._pending.append(path)

    def is_new(self, state: Hashable, left: Bound) -> bool:
        """Whether the state was never seen with as much left; from now on it was."""
        seen = self.states.setdefault(state, [])
        if any(earlier.allows(left) for earlier in seen):
            return False
        seen[:] = [earlier for earlier in seen if not left.allows(earlier)]
        seen.append(left)
        return True


class Schedule:
    """One run. Without a search nothing but its path is followed."""

    def __init__(self, path: Path, search: Search | None = None) -> None:
        self.path = path
        self._taken = dict(path)
        self._search = search
        self._left = search.bound if search else Bound(0, 0, 0)
        self._known = path[-1][0] + 1 if path else 0
        self._made = 0

    @classmethod
    def parse(cls, text: str) -> "Schedule":
        pairs = (choice.split(":") for choice in text.split())
        return cls(tuple((int(number), int(option)) for number, option in pairs))

    def __str__(self) -> str:
        return " ".join(f"{number}:{option}" for number, option in self.path)

    @property
    def is_searched(self) -> bool:
        return self._search is not None

    def choose(self, options: Sequence[Option], state: Callable[[], Hashable]) -> Hashable:
        """The next option of the path, or the first; the others are left to later schedules. Raises SeenBefore."""
        number, self._made = self._made, self._made + 1
        if self._search is not None and number >= self._known:
            self._leave(number, options[1:], self._search, state)
        chosen = options[self._taken.get(number, 0)]
        self._left = self._left.less(chosen.preemptions, chosen.faults)
        return chosen.what

    def _leave(self, number: int, others: Sequence[Option], search: Search, state: Callable[[], Hashable]) -> None:
        offered = [
            other
            for other, option in enumerate(others, 1)
            if option.is_offered and self._left.less(option.preemptions, option.faults).is_kept
        ]
        if not search.is_new(state(), self._left):
            search.cut += 1
            raise SeenBefore
        for other in offered:
            search.add((*self.path, (number, other)))
