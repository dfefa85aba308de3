"""Memory stays bounded: images that have to be decoded whole are rendered one at a time."""

import asyncio
from collections.abc import Callable
from typing import Any

from tests.support.memory import MemoryStorage
from tests.support.pictures import opened, photo

from common.embedded import EmbeddedBus
from common.events import ImageUploaded
from common.images.names import ImageKey
from common.images.plan import Plan
from common.images.sizes import parse_sizes
from common.imaging.pool import Pool
from common.imaging.protocol import Limits
from common.storage import Buckets
from resizer.handlers import Resizing, make_thumbnails
from resizer.rendering import Renderer


class WatchedPool:
    """The real pool, and how many images it has rendered at once."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.limits = pool.limits
        self.now = self.most = 0

    async def run(self, operation: Callable[..., Any], job: Any, result: Any) -> Any:
        renders = operation.__name__ == "render"
        self.now += renders
        self.most = max(self.most, self.now)
        try:
            return await self._pool.run(operation, job, result)
        finally:
            self.now -= renders


async def most_at_once(data: bytes) -> int:
    """How many of three such images are rendered at once."""
    incoming = MemoryStorage()
    keys = [ImageKey.parse(f"1475660224_{number}.jpg") for number in range(3)]
    for key in keys:
        await incoming.put(str(key), data)
    async with Pool.open(3, Limits()) as pool:
        watched: Any = WatchedPool(pool)
        buckets = Buckets(incoming, MemoryStorage())
        renderer = Renderer(watched, Plan(parse_sizes(None)))
        resizing = Resizing(buckets=buckets, bus=EmbeddedBus(), renderer=renderer)
        events = [ImageUploaded(source="/test", subject=key) for key in keys]
        await asyncio.gather(*(make_thumbnails(event, resizing=resizing) for event in events))
    assert len(incoming.objects) == 3 * 5
    most: int = watched.most
    return most


async def test_large_progressive_images_one_at_a_time() -> None:
    image = opened(photo(4800, 3600))
    assert await most_at_once(image.jpegsave_buffer(Q=90, interlace=True)) == 1
    assert await most_at_once(image.jpegsave_buffer(Q=90)) == 3
