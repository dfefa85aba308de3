"""Making spans, with or without a collector.

A `traceparent` is the W3C's: it names a trace, a span in it, and whether the trace is recorded.
https://www.w3.org/TR/trace-context/#traceparent-header
"""

import re
from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum
from typing import Protocol

Attribute = str | bool | int | float

_TRACEPARENT = re.compile(r"(?!ff|00.{54})[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")


class Kind(StrEnum):
    """What begins an entry span: a request, or an event."""

    SERVER = "server"
    CONSUMER = "consumer"


class Span:
    """A span that is not recorded."""

    def tell(self, **attributes: Attribute) -> None:
        """Set attributes."""

    def fail(self, reason: str) -> None:
        """Mark what the span is of as failed."""


class Recorder(Protocol):
    """What makes the spans where there is a collector; its methods are as the functions of this module."""

    def entry(
        self, name: str, kind: Kind, parent: str | None, attributes: dict[str, Attribute]
    ) -> AbstractContextManager[Span]:
        """As `entry`."""

    def span(self, name: str, attributes: dict[str, Attribute]) -> AbstractContextManager[Span]:
        """As `span`."""

    def record(
        self,
        name: str,
        seconds: float,
        attributes: dict[str, Attribute],
        *,
        until: float,
        parent: str | None,
        failure: str | None,
    ) -> None:
        """As `record`."""

    def link(self, traceparent: str) -> None:
        """As `link`."""

    def apart(self) -> AbstractContextManager[None]:
        """As `apart`."""

    def traceparent(self) -> str | None:
        """As `traceparent`."""

    def stop(self) -> None:
        """As `stop`."""


NO_SPAN = Span()
_NOTHING = nullcontext(NO_SPAN)


class _Recording:
    """Where the recorder of this process is."""

    by: Recorder | None = None


def start(service: str, endpoint: str | None) -> None:
    """Send the spans of this process from now on to the collector at `endpoint`, the URL of its traces; None: nowhere.

    OpenTelemetry reads its other variables itself. Raises SettingsError for one of them that cannot be used.
    """
    if endpoint is not None:
        from common.tracing.opentelemetry import OpenTelemetryRecorder

        _Recording.by = OpenTelemetryRecorder(service, endpoint)


def stop() -> None:
    """Make no more spans, and send those that wait. It takes a few seconds at most; what is left then is lost."""
    recorder, _Recording.by = _Recording.by, None
    if recorder is not None:
        recorder.stop()


def entry(name: str, kind: Kind, parent: str | None, **attributes: Attribute) -> AbstractContextManager[Span]:
    """The span of a request or an event, for the time of the context. It is a child of the span that `parent` names.

    Where that is None or malformed, the span begins a trace. What the context raises is told as a failure.
    """
    return _NOTHING if _Recording.by is None else _Recording.by.entry(name, kind, parent, attributes)


def span(name: str, **attributes: Attribute) -> AbstractContextManager[Span]:
    """A child of the current span, for the time of the context; what that raises is told as a failure.

    Do not hold it over a `yield`: the reader of a generator may have another current span.
    """
    return _NOTHING if _Recording.by is None else _Recording.by.span(name, attributes)


def record(
    name: str,
    seconds: float,
    attributes: dict[str, Attribute] | None = None,
    *,
    until: float = 0.0,
    parent: str | None = None,
    failure: str | None = None,
) -> None:
    """A span of what took `seconds`, and has ended `until` seconds ago.

    It is a child of the span that `parent` names, otherwise of the current one. `failure` says why it failed.
    """
    if _Recording.by is not None:
        _Recording.by.record(name, seconds, attributes or {}, until=until, parent=parent, failure=failure)


def link(traceparent: str | None) -> None:
    """Link the current span to the one that `traceparent` names, often in another trace."""
    if _Recording.by is not None and traceparent is not None:
        _Recording.by.link(traceparent)


def apart() -> AbstractContextManager[None]:
    """A context without a current span, in which to create a task that outlives it."""
    return nullcontext() if _Recording.by is None else _Recording.by.apart()


def traceparent() -> str | None:
    """What names the current span, or None."""
    return None if _Recording.by is None else _Recording.by.traceparent()


def trace_id() -> str | None:
    """The current trace: 32 hexadecimal digits, or None."""
    return trace_id_of(traceparent())


def trace_id_of(traceparent: str | None) -> str | None:
    """The trace that `traceparent` names: 32 hexadecimal digits; None where it is malformed."""
    found = None if traceparent is None else _TRACEPARENT.fullmatch(traceparent)
    return None if found is None else found[1]
