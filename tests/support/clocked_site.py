"""A site whose clock the test sets, and whose buckets refuse what the test tells them to."""

from collections.abc import AsyncIterator, Callable, Collection
from pathlib import Path

from tests.support.memory import MemoryStorage

from common.errors import StorageFault
from common.images.names import ImageKey
from common.images.plan import Plan
from common.images.records import Record, Variant, encode_record
from common.images.sizes import parse_sizes
from common.messaging.embedded import EmbeddedBus
from common.messaging.outbox import Outbox
from common.storage.base import Buckets, Entry
from publisher.context import PublisherContext
from publisher.deletion import delete_images
from publisher.maintenance.reconciler import Reconciler
from publisher.maintenance.sweep import Sweep

IMAGE = ImageKey.parse("1475660224_0882910455.jpg")
NAME = IMAGE.name
PLAN = Plan(parse_sizes('[{"suffix": "NOW", "convert": ["-resize", "9x9"]}]'))
DAY = 86400.0  # seconds


class FaultyBucket(MemoryStorage):
    """Counts its listings, and refuses to remove, read or write some keys.

    A key that ends as one of `unanswered` is written, and the answer is lost.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self.listings = 0
        self.stuck: set[str] = set()
        self.unreadable: set[str] = set()
        self.unwritable: set[str] = set()
        self.unanswered: tuple[str, ...] = ()

    async def put(self, key: str, data: bytes, *, exclusive: bool = False) -> None:
        if key in self.unwritable:
            raise StorageFault(f"{key} cannot be written")
        await super().put(key, data, exclusive=exclusive)
        if key.endswith(self.unanswered):
            raise StorageFault(f"{key} was not answered")

    async def get(self, key: str) -> bytes:
        if key in self.unreadable:
            raise StorageFault(f"{key} cannot be read")
        return await super().get(key)

    async def delete(self, key: str) -> None:
        if key in self.stuck:
            raise StorageFault(f"{key} is stuck")
        await super().delete(key)

    async def entries(self, prefix: str = "") -> AsyncIterator[Entry]:
        self.listings += 1
        async for entry in super().entries(prefix):
            yield entry

    async def objects_of(self, names: Collection[str]) -> AsyncIterator[Entry]:
        async for entry in super().objects_of(names):
            yield entry


class ClockedSite:
    """Two buckets whose clock the test sets, and what works on them."""

    def __init__(self) -> None:
        self.now = 0.0
        self.incoming, self.active = FaultyBucket(lambda: self.now), FaultyBucket(lambda: self.now)
        self.buckets = Buckets(self.incoming, self.active)
        self.bus = EmbeddedBus()
        self.publisher_context = PublisherContext(
            buckets=self.buckets, bus=self.bus, outbox=Outbox(self.bus), plan=PLAN, ttl=10 * DAY
        )

    async def delete(self, *images: ImageKey) -> None:
        await delete_images(*images, buckets=self.buckets, plan=PLAN, outbox=self.publisher_context.outbox)

    async def sweep(self) -> None:
        sweep = Sweep(self.publisher_context, Path("/nowhere"))
        async for candidate in sweep.candidates(thorough=False):
            await sweep.process(candidate)

    async def clean(self) -> None:
        sweep = Sweep(self.publisher_context, Path("/nowhere"))
        async for candidate in sweep.candidates(thorough=True):
            await sweep.process(candidate)

    async def start(self) -> None:
        reconciler = Reconciler(
            self.publisher_context, after=600, interval=1, repair_all_at_start=True, temporary=Path("/nowhere")
        )
        assert await reconciler.repair_everything()

    def nothing_is_left(self) -> bool:
        return set(self.active.objects) == set() and set(self.incoming.objects) == {IMAGE.tombstone_key}


def record_of(*keys: str) -> bytes:
    variants = tuple(Variant(key=key, format="jpg", width=1, height=1, bytes=1) for key in keys)
    return encode_record(Record(configuration="earlier", variants=variants))
