"""How one image ended."""

from dataclasses import dataclass
from enum import StrEnum


class Result(StrEnum):
    """The three ways for an image to end."""

    SKIPPED = "skipped"
    PROCESSED = "processed"
    ERROR = "error"


@dataclass(frozen=True)
class Outcome:
    """One image's end. `error` is the class of what went wrong, `bytes` what its original has, where that is known."""

    image: str
    result: Result
    error: str | None = None
    reason: str | None = None
    bytes: int | None = None

    def to_report(self) -> dict[str, object]:
        """The line of the report."""
        return {name: value for name, value in vars(self).items() if value is not None}
