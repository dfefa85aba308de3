"""What each stage and format costs, beside sharp; and what decoding once for both stages would save."""

import asyncio
import os
import statistics
import time
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks import peers, photos
from tests.benchmarks.modern import defaults, scores, set_up
from tests.benchmarks.quality import colours
from tests.benchmarks.report import median, percentile, say

from common.images.formats import Format, Output
from common.images.sizes import parse_sizes
from common.sandbox.pool import Pool
from common.sandbox.protocol import Limits
from resizer.operations.render import Rendered, RenderJob, render

_ROUNDS = 7
_BURST = 24  # photos that are uploaded at once
_BURSTS = 3
_BASE = (Output(format=Format.JPG),)


class _Burst(NamedTuple):
    """Seconds until the base variants of half of the photos were there, of 95 %, and all variants of all photos."""

    median: float
    late: float
    all: float


def report(folder: Path, *, with_sharp: bool) -> None:
    """CPU time of formats and stages, then bursts of uploads."""
    photo = photos.make_photo(folder)
    _formats(photo, folder, with_sharp=with_sharp)
    asyncio.run(_stages(photo))
    asyncio.run(_bursts(photo))


def _formats(photo: Path, folder: Path, *, with_sharp: bool) -> None:
    """CPU time of the three variants, and quality and size of the largest, with the same settings."""
    set_up(folder)
    names = ("ours", *(("sharp_tuned",) if with_sharp else ()))
    runs: dict[tuple[str, str], list[dict[str, float]]] = defaultdict(list)
    for _ in range(_ROUNDS):
        for kind in ("jpg", "webp", "avif"):
            for name in names:
                runs[kind, name].append(peers.measure(name, photo, 3, folder, kind=kind))
    perfect = colours(photo, parse_sizes(None)[0])
    say()
    say("The default variants of the 12-megapixel photo, one format at a time; of the largest its size and quality")
    say(f"{'':20}{'CPU ms':>8}{'KB':>7}{'SSIMULACRA2':>13}")
    for (kind, name), found in runs.items():
        file = (peers.made_by(name, photo, folder, kind) / "BI").read_bytes()
        (score,) = scores(perfect, [file], folder)
        say(f"{kind:6}{name:14}{median(found, 'cpu') * 1e3:8.0f}{len(file) / 1024:7.0f}{score:13.1f}")


async def _stages(photo: Path) -> None:
    """CPU time of a decoding process for each stage, and for both in one job."""
    modern = tuple(defaults())
    wanted = {"base": _BASE, "modern": modern, "both in one job": (*_BASE, *modern)}
    taken: dict[str, list[float]] = defaultdict(list)
    async with Pool.open(1, Limits()) as pool:
        for number in range(_ROUNDS + 1):
            for name, outputs in wanted.items():
                before = pool.cpu_seconds
                await _render(pool, photo, outputs)
                if number:
                    taken[name].append(pool.cpu_seconds - before)
    found = {name: statistics.median(seconds) for name, seconds in taken.items()}
    twice, once = found["base"] + found["modern"], found["both in one job"]
    say()
    say(
        "CPU ms of a decoding process for each stage: "
        + ", ".join(f"{name} {cpu * 1e3:.0f}" for name, cpu in found.items())
    )
    say(f"decoding once saves {(twice - once) * 1e3:.0f} ms of {twice * 1e3:.0f}: {1 - once / twice:.0%}")


async def _bursts(photo: Path) -> None:
    """Photos that are uploaded at once, with both stages: by lanes as they are, and both stages in one job."""
    workers = len(os.sched_getaffinity(0)) + 1
    limits = Limits()
    found: dict[str, list[_Burst]] = defaultdict(list)
    for _ in range(_BURSTS):
        async with Pool.open(workers, limits) as live, Pool.open(workers, limits, background=True) as background:
            for pool in (live, background):
                await asyncio.gather(*(_render(pool, photo, _BASE) for _ in range(workers)))
            found["decoding twice"].append(await _burst(photo, live, background))
            found["decoding once"].append(await _burst(photo, live, None))
    say()
    say(f"{_BURST} photos at once, {workers} decoders: seconds until half have base variants, 95 % have, all is done")
    for name, bursts in found.items():
        values = (statistics.median(values) for values in zip(*bursts, strict=True))
        say(f"{name:16}" + "".join(f"{value:8.2f}" for value in values))


async def _burst(photo: Path, live: Pool, background: Pool | None) -> _Burst:
    began = time.monotonic()
    ready: list[float] = []

    async def one() -> None:
        outputs = _BASE if background is not None else (*_BASE, *defaults())
        await _render(live, photo, outputs)
        ready.append(time.monotonic() - began)
        if background is not None:
            await _render(background, photo, tuple(defaults()))

    await asyncio.gather(*(one() for _ in range(_BURST)))
    return _Burst(statistics.median(ready), percentile(ready, 0.95), time.monotonic() - began)


async def _render(pool: Pool, photo: Path, outputs: tuple[Output, ...]) -> None:
    job = RenderJob(limits=pool.limits, sizes=parse_sizes(None), outputs=outputs)
    await pool.run(render, job, Rendered, photo)
