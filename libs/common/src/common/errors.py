"""The exceptions that modules share. An adapter translates a library's exceptions into these, once."""

from collections.abc import Collection
from enum import StrEnum


class Transient(Exception):
    """May succeed later: the bus retries the event."""


class Permanent(Exception):
    """Will fail again in the same way: the bus dead-letters the event."""


class Postponed(Transient):
    """Other work goes first: the bus retries the event after its shortest delay, and counts no attempt."""


class EventTooNew(Transient):
    """An event that only a newer version may understand: the bus retries it, as other replicas may be newer."""


class Outage(Transient):
    """Something that all work needs is away, refuses or is full: the bus retries the event until that is over."""


class StorageFault(Outage):
    """The store did not do what it was asked: unreachable, refused, full, or the bucket itself is missing."""


class StorageFull(StorageFault):
    """There is no room left. Waiting does not help: somebody has to make room."""


class NotDeleted(StorageFault):
    """Some of several objects may not have been deleted: those under `keys`."""

    def __init__(self, keys: Collection[str], reason: StorageFault) -> None:
        more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
        super().__init__(f"{min(keys)}{more} ({reason})")
        self.keys = frozenset(keys)


class NoSuchKey(Transient):
    """The store answered, and holds nothing under this key.

    Nothing else means absent (docs/bucket-protocol.md#only-no-such-key-is-absent). Transient, as the object may just
    have been moved.
    """


class KeyTaken(Transient):
    """An exclusive write found an object under its key."""


class BusFault(Outage):
    """The broker did not confirm a message. It may have arrived all the same: send it again under the same id."""


class Defect(Exception):
    """An error of ours, such as an operation that was called wrongly: no image is to blame for it."""


class FailureClass(StrEnum):
    """Why an image cannot be used, as records, events and metrics spell it."""

    UNSUPPORTED = "unsupported"
    BROKEN = "broken"
    TOO_LARGE = "too-large"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    CRASHED = "crashed"
    GAVE_UP = "gave-up"


class ImageError(Permanent):
    """The image itself is at fault, and will be next time too."""

    def __init__(self, fault: FailureClass, reason: str) -> None:
        super().__init__(reason)
        self.fault = fault
        self.reason = reason


class JobFault(Exception):
    """A job cannot run, or cannot go on; the message says why and what was expected, in one line."""


class BackgroundFault(Exception):
    """A task that has to go on for as long as its service has ended; the message says which and why."""


class SettingsError(Exception):
    """Settings that cannot be honoured; one line for each, naming the variable and what was expected."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
