"""What the reconciler survives on the start of the embedded default."""

import asyncio
from collections.abc import AsyncIterator

from tests.support.eventually import eventually
from tests.support.memory import MemoryStorage

from common.embedded import EmbeddedBus
from common.errors import StorageFault
from common.images.names import ImageKey
from common.images.plan import Plan
from common.images.sizes import parse_sizes
from common.outbox import Outbox
from common.storage import Buckets, Entry
from common.topology import RESIZER_LIVE
from publisher.activation import Activation
from publisher.reconcile import Reconciler

IMAGE = ImageKey.parse("1475660224_0882910455.jpg")


class Flickering(MemoryStorage):
    """A store that cannot be listed the first two times."""

    failures = 2

    async def entries(self, prefix: str = "") -> AsyncIterator[Entry]:
        if self.failures:
            self.failures -= 1
            raise StorageFault("away")
        async for entry in super().entries(prefix):
            yield entry


async def test_a_store_that_cannot_be_listed_at_first_is_looked_at_again() -> None:
    incoming, active, bus = MemoryStorage(), Flickering(), EmbeddedBus()
    await active.put(str(IMAGE), b"its event was lost with the process")
    activation = Activation(
        buckets=Buckets(incoming, active), bus=bus, outbox=Outbox(bus), plan=Plan(parse_sizes(None)), ttl=3600
    )
    reconciler = Reconciler(activation, bus=bus, after=600, interval=0.02, settle_all=True)
    running = asyncio.create_task(reconciler.run())
    assert await eventually(lambda: bus.depth(RESIZER_LIVE), "a request for thumbnails", 5) == 1
    assert not running.done()
    running.cancel()
