"""What the walls around decoders cost: with them and without in turn, in one run."""

import asyncio
import os
import resource
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

from tests.benchmarks import photos
from tests.benchmarks.report import say

from common.images.formats import Format, Output
from common.images.sizes import parse_sizes
from common.sandbox import process
from common.sandbox.pool import Pool
from common.sandbox.protocol import Limits
from resizer.operations.render import Rendered, RenderJob, render

_WORKERS = ("common.sandbox.worker", "tests.support.unwalled")
_BATCHES, _STARTS = 13, 40
_LIMITS = Limits(decoder_jobs=0)


def report(folder: Path) -> None:
    """CPU time of an image, images a second, and CPU time of a start: ratios of pairs, with walls to without."""
    say()
    say("What walls cost: with them to without, median of pairs in turn (and the middle half)")
    start = _ratio("CPU time of a start", asyncio.run(_starts()), "at most 1.20 is wanted")
    photo = photos.make_photo(folder)
    for what, path, rounds in (
        ("photo of 12 megapixels", photo, 40),
        ("photo of 1 megapixel", photos.make_photo(folder, 1200, 900), 100),
        ("drawing", photos.make_svg(folder), 6),
    ):
        each = _ratio(f"CPU time, {what}", asyncio.run(_cpu(path, rounds)), "at most 1.02 is wanted")
        share = start / (Limits().decoder_jobs * each)
        say(f"{'':32}a start for each {Limits().decoder_jobs} of them costs {100 * share:.2f} % (under 2 are wanted)")
    _ratio("seconds an image, all cores", asyncio.run(_seconds(photo)), "at most 1.02 is wanted")


def _ratio(what: str, pairs: list[tuple[float, float]], wanted: str) -> float:
    """Prints the ratio, and returns the median with walls, in seconds."""
    ratios = sorted(walled / bare for walled, bare in pairs)
    low, middle, high = statistics.quantiles(ratios, n=4)
    walled = statistics.median(walled for walled, _ in pairs)
    bare = statistics.median(bare for _, bare in pairs)
    say(f"{what:32}{middle:6.3f} ({low:.3f} to {high:.3f}; {wanted}), {walled * 1e3:.1f} and {bare * 1e3:.1f} ms")
    return walled


@contextmanager
def _worker(name: str) -> Iterator[None]:
    """What starts in here is this kind of process."""
    process.WORKER, before = name, process.WORKER
    try:
        yield
    finally:
        process.WORKER = before


async def _starts() -> list[tuple[float, float]]:
    """CPU seconds until a process can be given work, and is ended."""
    pairs = []
    for _ in range(_STARTS):
        pair = []
        for name in _WORKERS:
            before = _cpu_of_children()
            with _worker(name):
                started = await process.DecodingProcess.start(_LIMITS, 0)
            started.kill()
            await started.ended()
            pair.append(_cpu_of_children() - before)
        pairs.append((pair[0], pair[1]))
    return pairs


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@asynccontextmanager
async def _both(workers: int) -> AsyncIterator[tuple[Pool, Pool]]:
    """Pools that have started `workers` processes with walls, and as many without."""
    async with AsyncExitStack() as stack:
        pools = []
        for name in _WORKERS:
            with _worker(name):
                pools.append(await stack.enter_async_context(Pool.open(workers, _LIMITS)))
                await asyncio.gather(*(pools[-1].start_one() for _ in range(workers)))
        yield pools[0], pools[1]


async def _cpu(photo: Path, rounds: int) -> list[tuple[float, float]]:
    """CPU seconds of an image, in processes that have rendered it before."""
    async with _both(1) as (walled, bare):
        pairs = [(await _used(walled, photo), await _used(bare, photo)) for _ in range(rounds)]
    return pairs[1:]


async def _used(pool: Pool, photo: Path) -> float:
    before = pool.cpu_seconds
    await _render(pool, photo)
    return pool.cpu_seconds - before


async def _seconds(photo: Path) -> list[tuple[float, float]]:
    """Seconds an image, with as many processes as the resizer has by default."""
    workers = len(os.sched_getaffinity(0)) + 1
    async with _both(workers) as (walled, bare):
        pairs = [(await _batch(walled, photo, workers), await _batch(bare, photo, workers)) for _ in range(_BATCHES)]
    return pairs[1:]


async def _batch(pool: Pool, photo: Path, workers: int) -> float:
    start, images = time.monotonic(), 4 * workers
    await asyncio.gather(*(_render(pool, photo) for _ in range(images)))
    return (time.monotonic() - start) / images


async def _render(pool: Pool, photo: Path) -> None:
    job = RenderJob(limits=pool.limits, sizes=parse_sizes(None), outputs=(Output(format=Format.JPG),))
    await pool.run(render, job, Rendered, photo)
