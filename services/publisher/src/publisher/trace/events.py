"""What the queues tell of one image without losing an event."""

from typing import Protocol

from common.images.names import ImageKey
from common.messaging.dead_letters import MOST_LETTERS, DeadMessage, Wanted
from common.messaging.topology import QUEUES, WorkQueue
from publisher.trace.model import DeadEvent, KnownEvents, QueueState

_NOT_READ = (
    "which images the waiting events are of: an event cannot be read without taking it from its queue, so the numbers "
    "are those of all images"
)
_IN_HAND = "whether an event is being handled just now: it is in no number"


class Queues(Protocol):
    """The queues of a broker. Each method raises BusFault."""

    async def depth(self, queue: WorkQueue) -> int:
        """How many events wait."""

    async def retry_count(self, queue: WorkQueue) -> int:
        """How many events wait to be retried."""

    async def dead_letters(self, queue: WorkQueue, limit: int, wanted: Wanted) -> list[DeadMessage]:
        """Those that are wanted. They stay."""


async def read_queues(image: ImageKey, queues: Queues) -> KnownEvents:
    """What the broker's queues tell of the image's events. Raises BusFault."""
    states, dead = [], []
    for queue in QUEUES:
        waiting, retried = await queues.depth(queue), await queues.retry_count(queue)
        states.append(QueueState(queue=queue.name, waiting=waiting, retried=retried))
        dead += await queues.dead_letters(queue, MOST_LETTERS, lambda letter: letter.image == str(image))
    waits = any(state.waiting or state.retried for state in states)
    return KnownEvents(
        dead_letters=[dead_event(letter) for letter in dead],
        queues=states,
        unknown=[_NOT_READ, _IN_HAND] if waits else [_IN_HAND],
    )


def dead_event(letter: DeadMessage) -> DeadEvent:
    """The dead letter, as a trace has it."""
    return DeadEvent(
        queue=letter.queue,
        id=letter.id,
        type=letter.type,
        reason=letter.reason,
        attempts=letter.attempts,
        last_failure=letter.last_failure,
    )
