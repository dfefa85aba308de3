"""A look at everything takes no more memory on a large site than on a small one, and lets everybody else go on."""

import asyncio
import tracemalloc
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

import pytest
from tests.support.exploration import some
from tests.support.large_site import FILES, fill
from tests.support.memory import MemoryStorage

from common.errors import NoSuchKey
from common.images.names import is_original
from common.images.plan import Plan
from common.images.records import Record, Stage, encode_record
from common.images.sizes import parse_sizes
from common.messaging.embedded import EmbeddedBus
from common.messaging.outbox import Outbox
from common.storage.base import Buckets, Entry
from common.storage.local import LocalStorage
from publisher.audit import index
from publisher.audit.index import BucketIndex
from publisher.audit.scan import read_buckets
from publisher.audit.verification import Verification
from publisher.context import PublisherContext
from publisher.maintenance.listing import ListedImage, list_images
from publisher.maintenance.reconciler import Reconciler
from publisher.maintenance.sweep import Sweep

PLAN = Plan(parse_sizes(None))
_TURN = 1_000  # steps that may be taken before others come to theirs
_MORE = 500_000  # bytes; what would be held of 3,000 images more is five times that, and of 20,000 thirty times

Look = Callable[[PublisherContext, Path], Awaitable[None]]


async def first_look(publisher_context: PublisherContext, temporary: Path) -> None:
    reconciler = Reconciler(publisher_context, after=600, interval=1, repair_all_at_start=True, temporary=temporary)
    assert await reconciler.repair_everything()


async def look_at_incoming(publisher_context: PublisherContext, temporary: Path) -> None:
    reconciler = Reconciler(publisher_context, after=600, interval=1, repair_all_at_start=False, temporary=temporary)
    await reconciler.repair_incoming()


async def sweep(publisher_context: PublisherContext, temporary: Path) -> None:
    sweeping = Sweep(publisher_context, temporary)
    async with aclosing(sweeping.candidates(thorough=False)) as items:
        async for candidate in items:
            await sweeping.process(candidate)


async def clean(publisher_context: PublisherContext, temporary: Path) -> None:
    sweeping = Sweep(publisher_context, temporary)
    async with aclosing(sweeping.candidates(thorough=True)) as items:
        async for candidate in items:
            await sweeping.process(candidate)


async def reconcile(publisher_context: PublisherContext, temporary: Path) -> None:
    buckets, plan = publisher_context.buckets, publisher_context.plan
    async with BucketIndex.open(temporary) as listed:
        await read_buckets(buckets, listed, lambda _: None, after=600)
        verification = Verification(buckets, plan)
        async for possible in listed.possible_findings(plan, after=600, named=False):
            await verification.verify(possible)


looks = pytest.mark.parametrize("look", [first_look, look_at_incoming, sweep, clean, reconcile])


class Listed(LocalStorage):
    """Tells of each entry that it lists."""

    told: Callable[[], None]

    async def entries(self, prefix: str = "") -> AsyncIterator[Entry]:
        async for entry in super().entries(prefix):
            self.told()
            yield entry


class Turns:
    """How many steps of a look follow one another while somebody else waits for a turn."""

    def __init__(self) -> None:
        self.longest = 0
        self.total = 0
        self._since = 0

    def step(self) -> None:
        self.total += 1
        self._since += 1
        self.longest = max(self.longest, self._since)

    async def others(self) -> None:
        """Take a turn whenever there is one."""
        while True:
            self._since = 0
            await asyncio.sleep(0)


def site(folder: Path, images: int) -> tuple[PublisherContext, Path]:
    """Both buckets with so many images each. Those in the private one are too young for anything to be due."""
    temporary = folder / "temp"
    temporary.mkdir(parents=True)
    buckets = Buckets(Listed.open(folder / "incoming"), Listed.open(folder / "active"))
    fill(folder / "active", images, PLAN)
    fill(folder / "incoming", images, PLAN, first=images + 1)
    bus = EmbeddedBus()
    return PublisherContext(buckets=buckets, bus=bus, outbox=Outbox(bus), plan=PLAN, ttl=86400.0), temporary


class Endless(MemoryStorage):
    """A bucket that has so many images, and holds none of them in memory."""

    def __init__(self, images: int) -> None:
        super().__init__()
        self._images = images

    async def entries(self, prefix: str = "") -> AsyncIterator[Entry]:
        if prefix:
            for number in range(self._images):
                yield Entry(f"{prefix}1475660224_1{number:09}", 0, 3600.0)
            return
        for number in range(self._images):
            for ending in (".jpg", ".json", "BI.jpg", "MI.jpg", "SI.jpg"):
                yield Entry(f"1475660224_{number:010}{ending}", 1, 3600.0)

    async def stat(self, key: str) -> Entry | None:
        return Entry(key, 1, 3600.0) if is_original(key) else None

    async def get(self, key: str) -> bytes:
        if not key.endswith(".json"):
            raise NoSuchKey(key)
        return encode_record(Record(configuration=PLAN.configuration(Stage.BASE)))


async def peak(look: Look, folder: Path, incoming: int, active: int) -> int:
    """Bytes that the look at so many images has held at most."""
    bus = EmbeddedBus()
    buckets = Buckets(Endless(incoming), Endless(active))
    publisher_context = PublisherContext(buckets=buckets, bus=bus, outbox=Outbox(bus), plan=PLAN, ttl=86400.0)
    tracemalloc.start()
    try:
        await look(publisher_context, folder)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.explores
@looks
async def test_memory_does_not_grow_with_the_site(look: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def done(*_: object, **__: object) -> None:
        return None

    monkeypatch.setattr("publisher.maintenance.reconciler.finish_move", done)
    monkeypatch.setattr("publisher.maintenance.listing._HELD", 500)
    monkeypatch.setattr("publisher.maintenance.tombstones._TOGETHER", 500)
    monkeypatch.setattr("publisher.audit.scan._BATCH", 500)
    monkeypatch.setattr(index, "_READ", index._READ.replace(f"LIMIT {index._PAGE}", "LIMIT 500"))  # noqa: SLF001
    await peak(look, tmp_path, 1_000, 1_000)  # what is loaded when it is first needed stays
    small, large = [await peak(look, tmp_path, images, images) for images in some((1_000, 21_000), (1_000, 4_000))]
    assert large < small + _MORE


@looks
async def test_nobody_waits_for_a_whole_listing(look: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Turns()
    Listed.told = staticmethod(turns.step)

    async def surveyed(entries: AsyncIterator[Entry], temporary: Path) -> AsyncGenerator[ListedImage, None]:
        async with aclosing(list_images(entries, temporary)) as images:
            async for found in images:
                turns.step()
                yield found

    monkeypatch.setattr("publisher.maintenance.reconciler.list_images", surveyed)
    monkeypatch.setattr("publisher.maintenance.sweep.list_images", surveyed)
    monkeypatch.setattr("publisher.maintenance.listing._HELD", 500)
    images = 1_200
    publisher_context, temporary = site(tmp_path, images)
    others = asyncio.create_task(turns.others())
    await look(publisher_context, temporary)
    others.cancel()
    assert turns.total >= images * (FILES + 1)
    assert turns.longest <= _TURN + 1
