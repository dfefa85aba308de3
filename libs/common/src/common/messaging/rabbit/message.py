"""What the bus writes into a message, and reads from it."""

from aio_pika import DeliveryMode, Message
from aio_pika.abc import HeadersType

from common.messaging.events import CONTENT_TYPE

_ATTEMPT, _REASON = "x-attempt", "x-reason"
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


def retry_headers(attempt: int, reason: str) -> HeadersType:
    """The headers of a copy that is to be handled as this `attempt`, counted from 0, or that is a dead letter."""
    return {_REASON: reason[:_LONGEST_REASON], _ATTEMPT: attempt}


def attempt_of(headers: HeadersType) -> int:
    """Which attempt at the event this is, counted from 0."""
    value = headers.get(_ATTEMPT)
    return value if isinstance(value, int) else 0


def reason_of(headers: HeadersType) -> str:
    """Why the message is a dead letter."""
    reason = headers.get(_REASON)
    if isinstance(reason, str):
        return reason
    return "its consumers kept dying" if "x-death" in headers else "unknown"


def without_our_headers(headers: HeadersType) -> HeadersType:
    """The headers without the bus's own and the broker's: the attempts are counted from 0 again."""
    return {key: value for key, value in headers.items() if not key.startswith("x-")}
