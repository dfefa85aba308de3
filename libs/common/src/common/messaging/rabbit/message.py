"""What the bus writes into a message, and reads from it."""

from dataclasses import replace
from datetime import UTC, datetime

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractIncomingMessage, HeadersType

from common.messaging.dead_letters import DeadMessage
from common.messaging.events import CONTENT_TYPE, Event, encode
from common.messaging.topology import DELIVERY_LIMIT, WorkQueue
from common.messaging.traces import MessageTrace

_ATTEMPT, _REASON = "x-attempt", "x-reason"
_FIRST_FAILURE, _LAST_FAILURE = "x-first-failure", "x-last-failure"  # ISO 8601: AMQP's own type has no time zone
_FAILED_ATTEMPT = "x-failed-attempt"  # the span of the attempt that has failed, as a traceparent
_TRACEPARENT = "traceparent"
_LONGEST_REASON = 1000  # characters


def new_message(
    body: bytes, message_id: str | None, headers: HeadersType | None = None, *, expires: float | None = None
) -> Message:
    """A message that survives a restart of the broker. It leaves its queue `expires` seconds after it came there."""
    return Message(
        body,
        content_type=CONTENT_TYPE,
        delivery_mode=DeliveryMode.PERSISTENT,
        message_id=message_id,
        headers=headers or {},
        expiration=expires,
    )


def event_message(event: Event) -> Message:
    """The message that publishes the event."""
    headers: HeadersType = {} if event.traceparent is None else {_TRACEPARENT: event.traceparent}
    return new_message(encode(event), event.id, headers)


def copy_headers(before: HeadersType, attempt: int, reason: str, failed_attempt: str | None = None) -> HeadersType:
    """The headers of a copy that is to be handled as this `attempt`, counted from 0, or that is a dead letter.

    `before` are the headers of the message whose attempt has just failed. If `attempt` is still the same, nothing has.
    `failed_attempt` is the `traceparent` of that attempt's span.
    """
    headers: HeadersType = {_REASON: reason[:_LONGEST_REASON], _ATTEMPT: attempt}
    if failed_attempt is not None:
        headers[_FAILED_ATTEMPT] = failed_attempt
    if _TRACEPARENT in before:
        headers[_TRACEPARENT] = before[_TRACEPARENT]
    if attempt == attempt_of(before):
        return headers | {name: before[name] for name in (_FIRST_FAILURE, _LAST_FAILURE) if name in before}
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return headers | {_FIRST_FAILURE: before.get(_FIRST_FAILURE, now), _LAST_FAILURE: now}


def attempt_of(headers: HeadersType) -> int:
    """Which attempt at the event this is, counted from 0."""
    value = headers.get(_ATTEMPT)
    return value if isinstance(value, int) else 0


def trace_of(headers: HeadersType) -> MessageTrace:
    """What the message says of the trace that it belongs to."""
    return MessageTrace(_text(headers.get(_TRACEPARENT)), _text(headers.get(_FAILED_ATTEMPT)))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def dead_message(queue: WorkQueue, message: AbstractIncomingMessage) -> DeadMessage:
    """A message of the queue's dead-letter queue, as commands show it to an operator."""
    headers = message.headers
    reason = headers.get(_REASON)
    letter = DeadMessage(
        queue=queue.name,
        message_id=message.message_id,
        body=message.body.decode(errors="replace"),
        reason=reason if isinstance(reason, str) else "unknown",
        attempts=attempt_of(headers),
        first_failure=_time(headers.get(_FIRST_FAILURE)),
        last_failure=_time(headers.get(_LAST_FAILURE)),
    )
    death = _death(queue, headers)
    if death is None:
        return letter
    # The broker has dead-lettered it itself: our headers, if there are any, are those of an earlier failure.
    kept_dying = death.get("reason") == "delivery_limit"
    when = _time(death.get("time"))
    return replace(
        letter,
        reason="its consumers kept dying" if kept_dying else f"the broker dead-lettered it: {death.get('reason')!s}",
        attempts=letter.attempts + (DELIVERY_LIMIT + 1 if kept_dying else 0),
        first_failure=letter.first_failure or when,
        last_failure=when or letter.last_failure,
    )


def _death(queue: WorkQueue, headers: HeadersType) -> HeadersType | None:
    """What the broker wrote when it dead-lettered the message from the work queue itself, or None."""
    deaths = headers.get("x-death")
    for death in deaths if isinstance(deaths, list) else ():
        if isinstance(death, dict) and death.get("queue") == queue.name:
            return death
    return None


def _time(value: object) -> datetime | None:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)


def without_our_headers(headers: HeadersType) -> HeadersType:
    """The headers without the bus's own and the broker's: the attempts are counted from 0 again."""
    return {key: value for key, value in headers.items() if not key.startswith("x-")}
