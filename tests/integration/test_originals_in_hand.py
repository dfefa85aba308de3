"""While the store is slow with one photo, others are rendered; and no more is in hand than is allowed."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.eventually import eventually
from tests.support.handling import uploaded
from tests.support.pictures import photo

from common.errors import Postponed
from common.images.names import ImageKey, image_name_of
from common.messaging.embedded import EmbeddedBus
from common.messaging.topology import RESIZER_LIVE
from common.sandbox.pool import Pool
from common.settings.base import read_settings
from common.storage.base import Buckets
from common.storage.local import LocalStorage
from resizer.bootstrap import resizer
from resizer.in_hand import OriginalsInHand
from resizer.settings import ResizerSettings

_DECODERS = 2
_MIB = 1 << 20


class SlowStore(LocalStorage):
    """A folder that can be made to wait with some images, and knows which originals are fetched and not yet stored."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.slow_to_fetch: set[ImageKey] = set()
        self.slow_to_store: set[ImageKey] = set()
        self.quick = asyncio.Event()
        self.in_hand: dict[str, int] = {}
        self.most = 0

    @asynccontextmanager
    async def as_file(self, key: str) -> AsyncIterator[Path]:
        image = ImageKey.parse(key)
        async with super().as_file(key) as path:
            self.in_hand[image.name] = (await asyncio.to_thread(path.stat)).st_size
            self.most = max(self.most, sum(self.in_hand.values()))
            if image in self.slow_to_fetch:
                await self.quick.wait()
            yield path

    async def put_all(self, objects: Mapping[str, bytes]) -> None:
        (name,) = {image_name_of(key) for key in objects}
        if name in {image.name for image in self.slow_to_store}:
            await self.quick.wait()
        await super().put_all(objects)
        del self.in_hand[str(name)]


class Site:
    """A resizer with two decoders, on a slow store."""

    def __init__(self, store: SlowStore, bus: EmbeddedBus) -> None:
        self.store = store
        self._bus = bus

    @classmethod
    @asynccontextmanager
    async def started(cls, folder: Path) -> AsyncIterator["Site"]:
        bus = EmbeddedBus()
        site = cls(SlowStore.open(folder / "incoming"), bus)
        buckets = Buckets(site.store, LocalStorage.open(folder / "active"))
        environment = {"STORAGE_BACKEND": "local", "TEMP_FOLDER": str(folder), "RESIZER_WORKERS": str(_DECODERS)}
        environment |= {f"{name}_FOLDER": str(folder / name.lower()) for name in ("INCOMING", "ACTIVE")}
        settings = read_settings(ResizerSettings, environment | {"TEMP_FOLDER": str(folder / "temp")})
        async with resizer(settings, bus=bus, buckets=buckets) as service:
            await bus.consume(service.subscriptions)
            try:
                yield site
            finally:
                site.store.quick.set()
                await bus.drain(10)

    async def upload(self, images: list[ImageKey], data: bytes) -> None:
        for image in images:
            await self.store.put(str(image), data)
        for number, _ in enumerate(images):
            await self._bus.publish(uploaded(number))

    async def wait_for_thumbnails(self, image: ImageKey) -> None:
        await eventually(lambda: self.store.stat(f"{image.name}.json"), f"the thumbnails of {image}")

    async def dead(self) -> int:
        return len(await self._bus.dead_letters(RESIZER_LIVE, 10))


def some_images(count: int) -> list[ImageKey]:
    return [uploaded(number).subject for number in range(count)]


@pytest.mark.parametrize("what", ["slow_to_fetch", "slow_to_store"])
async def test_others_are_rendered_while_the_store_is_slow_with_as_many_as_there_are_decoders(
    what: str, tmp_path: Path
) -> None:
    *slow, other = some_images(_DECODERS + 1)
    async with Site.started(tmp_path) as site:
        getattr(site.store, what).update(slow)
        await site.upload([*slow, other], photo(300, 200))
        await site.wait_for_thumbnails(other)
        for image in slow:
            assert await site.store.stat(f"{image.name}.json") is None, "the store has not done its part"
        site.store.quick.set()
        for image in slow:
            await site.wait_for_thumbnails(image)


async def test_the_next_photos_are_fetched_while_all_decoders_are_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, run = asyncio.Event(), Pool.run

    async def run_later(pool: Pool, operation: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        await go_on.wait()
        return await run(pool, operation, *arguments, **options)

    images = some_images(12)
    data = photo(300, 200)
    monkeypatch.setattr("resizer.in_hand._MOST_BYTES", 5 * len(data))
    async with Site.started(tmp_path) as site:
        monkeypatch.setattr(Pool, "run", run_later)
        await site.upload(images, data)

        async def five() -> bool:
            return len(site.store.in_hand) == 5

        await eventually(five, "five originals that are fetched")
        go_on.set()
        for image in images:
            await site.wait_for_thumbnails(image)
        assert site.store.most == 5 * len(data)
        assert await site.dead() == 0


async def test_of_large_originals_there_are_as_many_in_hand_as_decoders() -> None:
    in_hand = OriginalsInHand(decoders=3, fetch_wait=60)
    now = most = 0

    async def one() -> None:
        nonlocal now, most
        async with in_hand.place(100 * _MIB):
            now += 1
            most = max(most, now)
            await asyncio.sleep(0)
            now -= 1

    await asyncio.gather(*(one() for _ in range(10)))
    assert most == 3


async def test_of_small_originals_there_are_three_times_as_many_in_hand_as_decoders() -> None:
    in_hand = OriginalsInHand(decoders=3, fetch_wait=60)
    now = most = 0

    async def one() -> None:
        nonlocal now, most
        async with in_hand.place(1):
            now += 1
            most = max(most, now)
            await asyncio.sleep(0)
            now -= 1

    await asyncio.gather(*(one() for _ in range(20)))
    assert most == 9


async def test_small_originals_do_not_overtake_a_large_one_for_ever() -> None:
    in_hand = OriginalsInHand(decoders=1, fetch_wait=60)
    order = []

    async def one(size: int) -> None:
        async with in_hand.place(size):
            order.append(size)
            await asyncio.sleep(0)

    await asyncio.gather(one(_MIB), one(100 * _MIB), *(one(1) for _ in range(5)))
    assert order[:2] == [_MIB, 100 * _MIB]


async def test_an_image_whose_place_does_not_come_goes_back_to_its_queue() -> None:
    in_hand = OriginalsInHand(decoders=1, fetch_wait=0.05)
    async with in_hand.place(100 * _MIB):
        with pytest.raises(Postponed):
            await in_hand.place(100 * _MIB).__aenter__()
        with pytest.raises(Postponed):  # who was first in the line has left it
            await in_hand.place(1).__aenter__()
    async with in_hand.place(100 * _MIB):
        pass


async def test_an_image_that_fails_or_is_cancelled_gives_its_place_back() -> None:
    in_hand = OriginalsInHand(decoders=1, fetch_wait=60)
    with pytest.raises(ZeroDivisionError):
        async with in_hand.place(100 * _MIB):
            raise ZeroDivisionError
    async with in_hand.place(100 * _MIB):
        waiting = asyncio.create_task(in_hand.place(100 * _MIB).__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    async with in_hand.place(100 * _MIB):
        pass
