"""The memory of the largest images that are accepted, in the processes that decode them."""

import asyncio
import os
from pathlib import Path

from tests.benchmarks import photos
from tests.benchmarks.report import say

from common.images.formats import Format
from common.images.names import ImageKey
from common.images.plan import Plan
from common.images.records import Stage
from common.images.sizes import parse_sizes
from common.sandbox.pool import Pool
from common.sandbox.protocol import Limits
from resizer.rendering import Renderer

_LARGEST = 11_540, 8_655  # just under 100 megapixels
_INTERVAL = 0.01  # seconds


def large(folder: Path) -> None:
    """The peak of each kind of image, rendered by every process of the pool at once."""
    workers = len(os.sched_getaffinity(0)) + 1
    say()
    say(
        f"Peak memory of a decoding process while {workers} images of 100 megapixels are in hand; of those that have to"
    )
    say("be decoded whole, which are the last two, one is rendered at a time")
    for what, path, most in (
        ("baseline JPEG", photos.make_photo(folder, *_LARGEST), 150),
        ("PNG", photos.make_png(folder, *_LARGEST), 150),
        ("progressive JPEG", photos.make_photo(folder, *_LARGEST, interlace=True), 450),
        ("interlaced PNG", photos.make_png(folder, *_LARGEST, interlace=True), 450),
    ):
        peaks = asyncio.run(_peaks(path, workers))
        say(
            f"{what:20}{max(peaks):8.0f} MB (under {most} is wanted), all processes together {sum(peaks):6.0f}; "
            f"besides, the file's {path.stat().st_size >> 20} MB are mapped"
        )


async def _peaks(path: Path, workers: int) -> list[float]:
    """The most megabytes that each decoding process had, without the file: its map can be dropped and read again."""
    image = ImageKey("1475660224_0882910455", Format.PNG if path.suffix == ".png" else Format.JPG)
    most: dict[str, int] = {}
    async with Pool.open(workers, Limits()) as pool:
        renderer = Renderer(pool, Plan(parse_sizes(None)))
        watching = asyncio.create_task(_watch(most))
        await asyncio.gather(*(renderer.render_stage(path, image, Stage.BASE) for _ in range(workers)))
        watching.cancel()
    return [kilobytes / 1024 for kilobytes in most.values()]


async def _watch(most: dict[str, int]) -> None:
    """Keep the most memory of their own that the processes which this one has started are seen to have."""
    while True:
        for pid, kilobytes in await asyncio.to_thread(_memory_of_children):
            most[pid] = max(most.get(pid, 0), kilobytes)
        await asyncio.sleep(_INTERVAL)


def _memory_of_children() -> list[tuple[str, int]]:
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [(pid, int(Path(f"/proc/{pid}/status").read_text().partition("RssAnon:")[2].split()[0])) for pid in children]
