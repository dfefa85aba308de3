"""Dead letters: the events that could not be handled, as an operator looks at them."""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property


@dataclass(frozen=True)
class DeadMessage:
    """A dead-lettered message: its body as it came, and why.

    `queue` is the work queue whose handler failed. `attempts` is how often that was, or how often its process died.
    `first_failure` and `last_failure` are None where the message does not tell: earlier releases did not write them.
    """

    queue: str
    message_id: str | None
    body: str
    reason: str
    attempts: int
    first_failure: datetime | None = None
    last_failure: datetime | None = None

    @property
    def id(self) -> str:
        """The event's id, or a hash of the message where it has none."""
        return self.message_id or self._text("id") or hashlib.sha256(self.body.encode()).hexdigest()[:16]

    @property
    def key(self) -> str:
        """The name of its object, which no other dead letter has. An event that fails anew gets another name."""
        failed = 0 if self.last_failure is None else round(self.last_failure.timestamp() * 1000)
        return f"{self.queue}.{re.sub(r'[^A-Za-z0-9-]', '-', self.id)[:100]}.{failed}"

    @property
    def type(self) -> str | None:
        """The event's type, if there is one in the body."""
        return self._text("type")

    @property
    def image(self) -> str | None:
        """The image's key, if there is one in the body."""
        return self._text("subject")

    @property
    def event(self) -> object:
        """The body as JSON, or as text where it is none."""
        return self.body if self._parsed is None else self._parsed

    @cached_property
    def _parsed(self) -> object:
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    def _text(self, name: str) -> str | None:
        found = self._parsed.get(name) if isinstance(self._parsed, dict) else None
        return found if isinstance(found, str) else None


MOST_LETTERS = 1000  # that one call looks for, unless it is told how many

Wanted = Callable[[DeadMessage], bool]
Done = Callable[[DeadMessage], None]


def every_letter(_: DeadMessage) -> bool:
    """For those that want all dead letters."""
    return True


def not_told(_: DeadMessage) -> None:
    """For those that need not be told of each dead letter."""


def oldest_first(letters: list[DeadMessage]) -> list[DeadMessage]:
    """The letters by their last failure; those that tell none come first."""
    return sorted(letters, key=lambda letter: (letter.last_failure or datetime.min.replace(tzinfo=UTC), letter.key))
