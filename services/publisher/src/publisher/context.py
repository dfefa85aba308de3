"""What the publisher's handlers, requests, edits and maintenance work with. The wiring makes it once."""

from dataclasses import dataclass
from pathlib import Path

from common.images.plan import Plan
from common.messaging.bus import Bus
from common.messaging.outbox import Outbox
from common.sandbox.pool import Pool
from common.storage.base import Buckets


@dataclass(frozen=True)
class PublisherContext:
    """`ttl` is INCOMING_TTL: how many seconds after its upload an image can be activated."""

    buckets: Buckets
    bus: Bus
    outbox: Outbox
    plan: Plan
    ttl: float


@dataclass(frozen=True)
class EditContext(PublisherContext):
    """What edits need besides. `temporary` is a folder; `edit_wait` is how many seconds an edit waits for variants."""

    pool: Pool
    temporary: Path
    edit_wait: float
