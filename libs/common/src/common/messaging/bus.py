"""The bus as services see it, and `dispatch`, which decides what becomes of a message.

A handler returns, or raises. Returning acknowledges the message. `Permanent` dead-letters it at once. `Postponed`
retries it after the shortest delay, and counts no attempt. `Outage` retries it every minute at the latest, until it is
over. Anything else retries it after the queue's next delay, and dead-letters it after the last; so does an event that
only a newer version may understand. Both implementations (`rabbit`, `embedded`) act on the decisions of `dispatch`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import structlog

from common import metrics, tracing
from common.cancellation import is_cancelled
from common.errors import EventTooNew, Outage, Permanent, Postponed, Transient
from common.messaging.dead_letters import MOST_LETTERS, DeadMessage, Done, Wanted, every_letter, not_told
from common.messaging.events import Event, decode
from common.messaging.topology import WorkQueue
from common.messaging.traces import NO_TRACE, MessageTrace, handling_span

log = structlog.get_logger()

Handler = Callable[[Any], Awaitable[None]]
Listener = Callable[[Event], None]


async def _ignore_exhausted(event: Event, error: Exception) -> None:
    """For subscriptions that do nothing when an event's retries are exhausted."""


def no_trouble() -> str | None:
    """The trouble of what always works."""
    return None


@dataclass(frozen=True)
class Subscription:
    """How one service takes from one queue.

    `handlers` has the handler of each class of events. `slots` is how many are handled at once. `deadline` is how many
    seconds one may take. `retries_exhausted` is called after an event's last attempt, before it is dead-lettered.
    While `trouble` gives a reason, nothing is taken from the queue, and other replicas can have its events.
    """

    queue: WorkQueue
    handlers: Mapping[type[Event], Handler]
    slots: int
    deadline: float
    retries_exhausted: Callable[[Event, Exception], Awaitable[None]] = _ignore_exhausted
    trouble: Callable[[], str | None] = no_trouble


@dataclass(frozen=True)
class Acknowledge:
    """Acknowledge the message."""


@dataclass(frozen=True)
class Retry:
    """Send a copy to the retry queue of `delay` seconds, to be handled as this `attempt`, then acknowledge.

    `failed_attempt` is the `traceparent` of the span of the attempt that has failed.
    """

    delay: float
    reason: str
    attempt: int
    failed_attempt: str | None = None


@dataclass(frozen=True)
class DeadLetter:
    """Send a copy to the dead-letter queue, then acknowledge. `failed_attempt` is as for `Retry`."""

    reason: str
    failed_attempt: str | None = None


Decision = Acknowledge | Retry | DeadLetter

# The label values of the metrics.
_OUTCOMES: dict[type[Decision], str] = {Acknowledge: "done", Retry: "retry", DeadLetter: "dead"}
_CAUSES: tuple[tuple[type[Exception], str], ...] = (
    (Postponed, "postponed"),
    (Outage, "outage"),
    (Transient, "transient"),
    (TimeoutError, "deadline"),
)


class Bus(Protocol):
    """Events between services: at least once, confirmed, in no particular order."""

    async def publish(self, event: Event) -> None:
        """Send the event and wait until the broker has it. Raises BusFault when the broker may not have it."""

    async def consume(self, subscriptions: Sequence[Subscription], listener: Listener | None = None) -> None:
        """Start to handle the queues' messages, over every outage, until `drain`. Called once.

        `listener` is called with every event that is published from now on; when it is slow, the oldest are dropped.
        """

    async def run(self) -> None:
        """Go on until cancelled, from after `consume`. Raises what has ended a task of the bus, which is a defect."""

    async def drain(self, grace: float) -> None:
        """Take no more messages and wait up to `grace` seconds for those in hand; the rest come again."""

    async def depth(self, queue: WorkQueue) -> int:
        """How many messages wait in the queue. Raises BusFault."""

    async def dead_letter_count(self, queue: WorkQueue) -> int:
        """How many dead letters of the queue there are. Raises BusFault."""

    async def dead_letters(
        self, queue: WorkQueue, limit: int = MOST_LETTERS, wanted: Wanted = every_letter
    ) -> list[DeadMessage]:
        """`limit` of the `wanted` dead letters of the queue, oldest first. They stay. Raises BusFault."""

    async def replay(
        self, queue: WorkQueue, limit: int = MOST_LETTERS, wanted: Wanted = every_letter, done: Done = not_told
    ) -> int:
        """Send the `wanted` dead letters back to their queue alone, with no attempt counted, `limit` at most.

        Those that are dead-lettered from now on are left. `done` is called with each that the queue has again, and the
        number of these is returned. Raises BusFault: one is then in one of the queues, or in both, and never in none.
        """

    async def drop(
        self, queue: WorkQueue, limit: int = MOST_LETTERS, wanted: Wanted = every_letter, done: Done = not_told
    ) -> int:
        """Remove the `wanted` dead letters, `limit` at most; otherwise as `replay`. Raises BusFault."""

    def trouble(self) -> str | None:
        """Why the bus cannot be used just now, or None."""


async def dispatch(
    body: bytes,
    attempt: int,
    subscription: Subscription,
    delays: tuple[float, ...],
    trace: MessageTrace = NO_TRACE,
) -> Decision:
    """Handle one message and decide what becomes of it. `attempt` counts from 0; raises only CancelledError."""
    queue = subscription.queue.name
    try:
        event = decode(body)
    except (Permanent, EventTooNew) as error:
        decision: Decision = _not_understood(error, attempt, queue, delays)
        metrics.EVENTS.labels(queue, "unknown", _OUTCOMES[type(decision)]).inc()
        return decision
    with (
        handling_span(event, queue, attempt, trace) as span,
        structlog.contextvars.bound_contextvars(image=str(event.subject), event_id=event.id),
    ):
        decision = await _handle(event, attempt, subscription, delays)
        span.tell(outcome=_OUTCOMES[type(decision)])
        if not isinstance(decision, Acknowledge):
            span.fail(decision.reason)
            decision = replace(decision, failed_attempt=tracing.traceparent())
    metrics.EVENTS.labels(queue, event.type, _OUTCOMES[type(decision)]).inc()
    return decision


def _not_understood(
    error: Permanent | EventTooNew, attempt: int, queue: str, delays: tuple[float, ...]
) -> Retry | DeadLetter:
    """Retry what a newer replica may understand: while versions change, some run beside this one."""
    reason = str(error)
    if isinstance(error, EventTooNew) and attempt < len(delays):
        log.warning("event will be retried", queue=queue, seconds=delays[attempt], reason=reason)
        metrics.EVENT_RETRIES.labels(queue, "too-new").inc()
        return Retry(delays[attempt], reason, attempt + 1)
    log.error("event dead-lettered", queue=queue, reason=reason)
    return DeadLetter(reason)


async def _handle(event: Event, attempt: int, subscription: Subscription, delays: tuple[float, ...]) -> Decision:
    handler = subscription.handlers.get(type(event))
    queue = subscription.queue.name
    if handler is None:
        return _not_understood(EventTooNew(f"nothing here handles {event.type}"), attempt, queue, delays)
    try:
        if attempt == 0:
            metrics.EVENT_WAIT_SECONDS.labels(queue, event.type).observe(event.age)
        with metrics.EVENT_SECONDS.labels(queue, event.type).time():
            async with asyncio.timeout(subscription.deadline):
                await _handled(handler(event))
    except Exception as error:  # noqa: BLE001 - it is logged there
        decision = await _failed(event, error, attempt, subscription, delays)
        if isinstance(decision, Retry):
            cause = next((name for kind, name in _CAUSES if isinstance(error, kind)), "defect")
            metrics.EVENT_RETRIES.labels(queue, cause).inc()
        return decision
    return Acknowledge()


async def _failed(
    event: Event, error: Exception, attempt: int, subscription: Subscription, delays: tuple[float, ...]
) -> Decision:
    queue, reason = subscription.queue.name, str(error) or type(error).__name__
    if isinstance(error, Postponed):
        return Retry(delays[0], reason, attempt)
    if isinstance(error, Outage):
        return _sit_out(reason, attempt, queue, delays)
    if isinstance(error, Permanent):
        log.warning("event dead-lettered", queue=queue, type=event.type, reason=reason)
        return DeadLetter(reason)
    trace = None if isinstance(error, Transient | TimeoutError) else error
    if attempt < len(delays):
        wait = delays[attempt]
        log.warning("event will be retried", queue=queue, seconds=wait, reason=reason, exc_info=trace)
        return Retry(wait, reason, attempt + 1)
    log.error("event dead-lettered: its retries are exhausted", queue=queue, reason=reason, exc_info=trace)
    return await _give_up(event, error, subscription)


def _sit_out(reason: str, attempt: int, queue: str, delays: tuple[float, ...]) -> Retry:
    """Retry the event until an outage is over, and leave its last three retries to faults of its own.

    Without the last two delays, every event comes back within a minute after the outage.
    """
    longest = max(len(delays) - 3, 0)
    wait = delays[min(attempt, longest)]
    log.warning("event will be retried until the outage is over", queue=queue, seconds=wait, reason=reason)
    return Retry(wait, reason, max(attempt, min(attempt + 1, longest)))


async def _handled(work: Awaitable[None]) -> None:
    """Raises Transient for a cancellation from within the handler: its message has to be dispatched all the same."""
    try:
        await work
    except asyncio.CancelledError as error:
        if is_cancelled():
            raise
        raise Transient("something that the handler waited for was cancelled") from error


async def _give_up(event: Event, error: Exception, subscription: Subscription) -> Decision:
    reason = str(error) or type(error).__name__
    try:
        async with asyncio.timeout(subscription.deadline):
            await _handled(subscription.retries_exhausted(event, error))
    except Exception:
        log.exception("the end of an event's retries could not be recorded", queue=subscription.queue.name)
    return DeadLetter(reason)
