"""The memory of the largest images that are accepted, in the processes that decode them."""

import asyncio
import os
from pathlib import Path

from pydantic import BaseModel
from tests.benchmarks import photos
from tests.benchmarks.report import say

from common.images.names import Format, ImageKey
from common.images.plan import Plan
from common.images.records import Stage
from common.images.sizes import parse_sizes
from common.sandbox.pool import Pool
from common.sandbox.protocol import Job, Limits, Original, operation
from resizer.rendering import Renderer

_LARGEST = 11_540, 8_655  # just under 100 megapixels


class Peak(BaseModel):
    """Megabytes."""

    most: float


@operation
def peak(job: Job, original: Original) -> tuple[Peak, list[bytes]]:
    """The operation: the most memory that this process has had so far."""
    del job, original
    status = Path("/proc/self/status").read_text()
    return Peak(most=int(status.partition("VmHWM:")[2].split()[0]) / 1024), []


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
        say(f"{what:20}{max(peaks):8.0f} MB (under {most} is wanted), all processes together {sum(peaks):6.0f}")


async def _peaks(path: Path, workers: int) -> list[float]:
    image = ImageKey("1475660224_0882910455", Format.PNG if path.suffix == ".png" else Format.JPG)
    async with Pool.open(workers, Limits()) as pool:
        renderer = Renderer(pool, Plan(parse_sizes(None)))
        await asyncio.gather(*(renderer.render(path, image, Stage.BASE) for _ in range(workers)))
        job = Job(limits=pool.limits)
        found = await asyncio.gather(*(pool.run(peak, job, Peak, path) for _ in range(workers)))
    return [result.most for result, _ in found]
