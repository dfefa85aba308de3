"""When the steps of a rendering began and ended. A decoding process sends them, and the service makes spans."""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import TypeVar

T = TypeVar("T")

_LONGEST = 86_400.0  # seconds


@dataclass(frozen=True)
class Period:
    """When a step began and ended, in seconds since the rendering began."""

    begin: float = 0.0
    end: float = 0.0

    def __post_init__(self) -> None:
        """Raises ValueError for times that no clock shows."""
        if not 0 <= self.begin <= self.end <= _LONGEST:
            raise ValueError("a step that ends before it begins")


UNTIMED = Period()


class Timing:
    """The clock of one rendering. `decodings` are the periods of its decodings so far."""

    def __init__(self) -> None:
        self._start = perf_counter()
        self.decodings: list[Period] = []

    def now(self) -> float:
        """Seconds since the rendering began."""
        return round(perf_counter() - self._start, 6)

    def timed(self, work: Callable[[], T]) -> tuple[T, Period]:
        """What `work` returns, and when it ran."""
        begin = self.now()
        found = work()
        return found, Period(begin, self.now())
