"""Memory stays bounded: images that have to be decoded whole are rendered one at a time."""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pyvips
from prometheus_client import REGISTRY
from tests.support.eventually import eventually
from tests.support.memory import MemoryStorage
from tests.support.pictures import opened, photo

from common.images.names import ImageKey
from common.images.plan import Plan
from common.images.records import Stage
from common.images.sizes import parse_sizes
from common.messaging.embedded import EmbeddedBus
from common.messaging.events import ImageUploaded
from common.messaging.topology import RESIZER_LIVE, RETRY_DELAYS
from common.sandbox.pool import Pool
from common.sandbox.protocol import Limits
from common.settings.base import read_settings
from common.storage.base import Buckets
from common.storage.local import LocalStorage
from resizer.bootstrap import resizer
from resizer.handlers import image_uploaded
from resizer.in_hand import OriginalsInHand
from resizer.rendering import Renderer
from resizer.settings import ResizerSettings
from resizer.thumbnails import ResizerContext


class WatchedPool:
    """The real pool, and how many jobs of each operation it has had at once."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.limits = pool.limits
        self.now: Counter[str] = Counter()
        self.most: Counter[str] = Counter()

    async def run(self, operation: Callable[..., Any], job: Any, result: Any, original: Path, **options: Any) -> Any:
        name = operation.__name__
        self.now[name] += 1
        self.most[name] = max(self.most[name], self.now[name])
        try:
            return await self._pool.run(operation, job, result, original, **options)
        finally:
            self.now[name] -= 1


async def most_at_once(data: bytes) -> Counter[str]:
    """How many jobs of each operation run at once for three such images."""
    incoming = MemoryStorage()
    keys = [ImageKey.parse(f"1475660224_{number}.jpg") for number in range(3)]
    for key in keys:
        await incoming.put(str(key), data)
    async with Pool.open(3, Limits()) as pool:
        watched: Any = WatchedPool(pool)
        buckets = Buckets(incoming, MemoryStorage())
        renderer = Renderer(watched, Plan(parse_sizes(None)), OriginalsInHand(3))
        resizing = ResizerContext(buckets=buckets, bus=EmbeddedBus(), renderer=renderer)
        events = [ImageUploaded(source="/test", subject=key) for key in keys]
        await asyncio.gather(*(image_uploaded(event, context=resizing) for event in events))
    assert len(incoming.objects) == 3 * 5
    most: Counter[str] = watched.most
    return most


async def test_waiting_for_a_turn_holds_no_slot_of_uploads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finish, run, rendering = asyncio.Event(), Pool.run, set[Path]()

    async def run_slowly(
        pool: Pool, operation: Callable[..., Any], job: Any, result: Any, path: Path, **options: Any
    ) -> Any:
        if operation.__name__ == "render" and (await asyncio.to_thread(path.stat)).st_size > 1 << 20:
            rendering.add(path)
            await finish.wait()
        return await run(pool, operation, job, result, path, **options)

    monkeypatch.setattr(Pool, "run", run_slowly)
    incoming, bus = LocalStorage.open(tmp_path / "incoming"), EmbeddedBus()
    buckets = Buckets(incoming, LocalStorage.open(tmp_path / "active"))
    heavy = opened(photo(4800, 3600)).jpegsave_buffer(Q=90, interlace=True)
    large = [ImageKey.parse(f"1475660224_{number}.jpg") for number in range(5)]
    modest = ImageKey.parse("1475660225_1.jpg")
    environment = {"STORAGE_BACKEND": "local", "TEMP_FOLDER": str(tmp_path / "temp"), "RESIZER_WORKERS": "2"}
    environment |= {"INCOMING_FOLDER": str(tmp_path / "incoming"), "ACTIVE_FOLDER": str(tmp_path / "active")}

    async def upload(image: ImageKey, data: bytes) -> None:
        await incoming.put(str(image), data)
        await bus.publish(ImageUploaded(source="/test", subject=image))

    async def made(image: ImageKey) -> bool:
        return await incoming.stat(f"{image.name}.json") is not None

    async with resizer(read_settings(ResizerSettings, environment), bus=bus, buckets=buckets) as service:
        await bus.consume(service.subscriptions)
        for image in large:
            await upload(image, heavy)
        await upload(modest, photo(300, 200))
        await eventually(lambda: made(modest), "the thumbnails of a modest image")
        assert len(rendering) == 1, "the others wait, and are not rendered beside it"
        await asyncio.sleep(sum(RETRY_DELAYS[:1]) + 0.5)
        finish.set()
        for image in large:
            await eventually(lambda image=image: made(image), "the thumbnails of a large image")  # type: ignore[misc]
        assert await bus.dead_letters(RESIZER_LIVE, 10) == []
        await bus.drain(10)


async def test_those_that_wait_for_their_turn_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "heavy.jpg"
    path.write_bytes(opened(photo(4800, 3600)).jpegsave_buffer(Q=90, interlace=True))
    image = ImageKey.parse("1475660224_1.jpg")

    async def waiting(number: int) -> bool:
        return REGISTRY.get_sample_value("image_backend_heavy_images_waiting") == number

    async with Pool.open(1, Limits()) as pool:
        renderer = Renderer(pool, Plan(parse_sizes(None)))
        async with renderer.heavy_lock:
            rendering = asyncio.create_task(renderer.render_stage(path, image, Stage.BASE))
            await eventually(lambda: waiting(1), "an image that waits")
        await rendering
        assert await waiting(0)


async def test_large_progressive_images_one_at_a_time() -> None:
    image = opened(photo(4800, 3600))
    assert (await most_at_once(image.jpegsave_buffer(Q=90, interlace=True)))["render"] == 1
    assert await most_at_once(image.jpegsave_buffer(Q=90)) == {"render_unless_heavy": 3}


@pytest.mark.parametrize("save", ["jpegsave_buffer", "pngsave_buffer"])
async def test_large_images_in_small_files_one_at_a_time(save: str) -> None:
    data = getattr(pyvips.Image.black(4800, 3600, bands=3), save)(interlace=True)
    assert len(data) < 1 << 20
    assert (await most_at_once(data))["render"] == 1
