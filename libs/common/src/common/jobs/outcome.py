"""How a command ended for one image."""

from dataclasses import dataclass
from enum import StrEnum


class Result(StrEnum):
    """The three ways for an image to end."""

    SKIPPED = "skipped"
    PROCESSED = "processed"
    ERROR = "error"


@dataclass(frozen=True)
class Outcome:
    """How one image ended.

    `error` is the class of the error, where the `result` is one. `remark` is the class of what is worth knowing of any
    other image. `reason` explains either. `bytes` is the size of the original, where it is known.
    """

    image: str
    result: Result
    error: str | None = None
    reason: str | None = None
    bytes: int | None = None
    remark: str | None = None

    @property
    def label(self) -> str | None:
        """The class of the error or of the remark."""
        return self.error or self.remark

    def to_report(self) -> dict[str, object]:
        """The line of the report. Its field `error` also holds the class of a remark; `result` tells which it is."""
        line = {
            "image": self.image,
            "result": self.result,
            "error": self.label,
            "reason": self.reason,
            "bytes": self.bytes,
        }
        return {name: value for name, value in line.items() if value is not None}
