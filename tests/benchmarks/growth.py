"""Every request and event beside a large public bucket, against an empty one: in turn, on folders."""

import asyncio
import os
import statistics
import tempfile
import time
from pathlib import Path

from tests.benchmarks.report import say
from tests.support.every_call import CALLS, PLAN, UPLOAD, Site, prepared, upload
from tests.support.large_site import FILES, fill

_IMAGES = 100_000
_ROUNDS = 150


def ratios(folder: Path) -> None:
    """The median time of each call on the large site, over that on the empty one."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        empty, large = Site(Path(name) / "empty"), Site(Path(name) / "large")
        fill(Path(name) / "large" / "active", _IMAGES, PLAN)
        os.sync()  # or writing all those names goes on beside what is measured
        say()
        say(f"Calls beside {_IMAGES:,} public images ({FILES * _IMAGES:,} files in a folder), without decoding")
        say(f"{'':32}{'empty, ms':>10}{'large, ms':>10}{'ratio':>7} (at most 1.2 is wanted)")
        for call in (UPLOAD, *CALLS):
            few, many = asyncio.run(_medians(call, empty, large))
            say(f"{call:32}{few * 1e3:10.2f}{many * 1e3:10.2f}{many / few:7.2f}")


async def _medians(call: str, empty: Site, large: Site) -> tuple[float, float]:
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(_ROUNDS):
        for site, seconds in zip((empty, large), taken, strict=True):
            seconds.append(await _seconds(call, site))
    return statistics.median(taken[0]), statistics.median(taken[1])


async def _seconds(call: str, site: Site) -> float:
    image = None if call == UPLOAD else await prepared(site, CALLS[call])
    began = time.perf_counter()
    if image is None:
        await upload(site)
    else:
        await CALLS[call].step(site, image)
    return time.perf_counter() - began
