"""The spans of a message: its wait in a queue, and each attempt to handle it, in the trace of its sender."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from common import tracing
from common.messaging.events import Event


@dataclass(frozen=True)
class MessageTrace:
    """What a message says of its trace, beside what the event says.

    `traceparent` is its sender's. `failed_attempt` is that of the attempt before, if that has failed.
    """

    traceparent: str | None = None
    failed_attempt: str | None = None


NO_TRACE = MessageTrace()


@contextmanager
def handling_span(event: Event, queue: str, attempt: int, trace: MessageTrace) -> Iterator[tracing.Span]:
    """The span of one attempt, for the time of the context. `attempt` counts from 0.

    Every attempt, also after a restart, is a child of the span in which the event was made. A retry is linked to the
    attempt before it.
    """
    parent = event.traceparent or trace.traceparent or trace.failed_attempt
    with tracing.entry(
        f"handle {event.type}",
        tracing.Kind.CONSUMER,
        parent,
        queue=queue,
        image=str(event.subject),
        event_id=event.id,
        attempt=attempt,
    ) as span:
        tracing.link(trace.failed_attempt)
        if attempt == 0 and trace.failed_attempt is None:
            tracing.record("wait in queue", event.age, {"queue": queue}, parent=parent)
        yield span
