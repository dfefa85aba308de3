"""The one table of queues and bindings. Every service declares all of it before it publishes anything."""

from dataclasses import dataclass

from common.messaging.events import (
    ActivationRequested,
    Event,
    ImageUploaded,
    Lane,
    ThumbnailsFailed,
    ThumbnailsReady,
    ThumbnailsRequested,
)

EXCHANGE = "image-backend"

# 71 minutes in all, for faults of an event: shorter than INCOMING_TTL. In an outage of the store or the
# broker an event is retried for as long as that lasts, at most a minute apart.
RETRY_DELAYS = (1.0, 10.0, 60.0, 600.0, 3600.0)

# A message that comes back this often has had its consumer die each time; the broker then dead-letters it.
DELIVERY_LIMIT = 10

# Listing dead letters returns each to its queue, which counts as a delivery. They must outlive being looked at.
DEAD_DELIVERY_LIMIT = 1_000_000


@dataclass(frozen=True)
class WorkQueue:
    """A durable queue of one service role (and lane), with its retry queues and a dead-letter queue."""

    name: str
    routing_keys: tuple[str, ...]

    @property
    def dead(self) -> str:
        """Where messages end that cannot be handled."""
        return f"{self.name}.dead"

    def retry(self, delay: float) -> str:
        """The queue in which a message waits `delay` seconds before it comes back."""
        milliseconds = round(delay * 1000)
        whole = milliseconds % 1000 == 0
        return f"{self.name}.retry.{milliseconds // 1000}s" if whole else f"{self.name}.retry.{milliseconds}ms"


def _key(kind: type[Event], lane: Lane | None = None) -> str:
    name = kind.__name__
    return f"{name}.{lane}" if lane else name


def _lane(lane: Lane) -> WorkQueue:
    return WorkQueue(f"resizer.{lane}", (_key(ImageUploaded, lane), _key(ThumbnailsRequested, lane)))


RESIZER_LIVE, RESIZER_FOLLOW_UP, RESIZER_BULK = (_lane(lane) for lane in (Lane.LIVE, Lane.FOLLOW_UP, Lane.BULK))
PUBLISHER = WorkQueue("publisher", (_key(ActivationRequested), _key(ThumbnailsReady), _key(ThumbnailsFailed)))

QUEUES = (RESIZER_LIVE, RESIZER_FOLLOW_UP, RESIZER_BULK, PUBLISHER)


def routing_key(event: Event) -> str:
    """The key under which the event is published: its type, and its lane where it has one."""
    if isinstance(event, ImageUploaded | ThumbnailsRequested):
        return _key(type(event), event.data.lane)
    return _key(type(event))


def has_work_queue(event: Event) -> bool:
    """Whether a work queue must take the event. If none takes it then, a queue is missing."""
    return any(routing_key(event) in queue.routing_keys for queue in QUEUES)
