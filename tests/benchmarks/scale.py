"""Every request, event and command on sites of different sizes: what grows with the number of images.

Beside the public images, each site has a hundredth of their number in *incoming*, and as many tombstones.
"""

import asyncio
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.report import percentile, say
from tests.benchmarks.watched import Cost, cost_of
from tests.support.deployment import PYTHON
from tests.support.every_call import CALLS, PLAN, UPLOAD, Site, prepared, upload
from tests.support.large_site import fill, name_of, store
from tests.support.migration import Moving, moving
from tests.support.process import Process

from common.cancellation import together
from common.images.names import ImageKey
from common.storage.local import LocalStorage

_FOLDERS = {10_000: 100, 100_000: 100, 1_000_000: 100}  # rounds of calls on a site of so many images
_S3 = {1_000: 40, 10_000: 40}
_SHARE = 100
_MOST_ROWS = 20_000  # of the v5 database; `migration` goes through half a million
_IDLE = 2.0  # seconds with hardly any CPU time, after which a start counts as over
_COMMANDS = {
    "clean": ("publisher", "clean"),
    "reconcile": ("publisher", "reconcile"),
    "resize --missing": ("resizer", "resize", "--missing"),
    "migrate": ("migrator", "migrate"),
}
_START = "start of the embedded default"


@dataclass(frozen=True)
class _LargeSite:
    moving: Moving
    calls: Site
    images: int


def report(folder: Path) -> None:
    """Folders first, then S3."""
    for name, kind, sizes in (("folders", "rabbit-local", _FOLDERS), ("S3", "rabbit-s3", _S3)):
        asyncio.run(_report(folder, name, kind, sizes))


async def _report(parent: Path, name: str, kind: str, sizes: dict[int, int]) -> None:
    async with AsyncExitStack() as stack:
        sites = []
        for images in sizes:
            folder = stack.enter_context(tempfile.TemporaryDirectory(dir=parent))
            sites.append(await stack.enter_async_context(_large_site(kind, Path(folder), images)))
        await asyncio.to_thread(os.sync)  # or writing all those names goes on beside what is measured
        say()
        say(f"Commands on {name}: seconds, CPU seconds, peak MB; ratio of the memory")
        for command in (*_COMMANDS, _START):
            _say_costs(command, [await _cost(command, site) for site in sites])
        say()
        say(f"Calls on {name}, without decoding: median and 95 % in ms; ratio of the largest site to the smallest")
        say(f"{'images':30}" + "".join(f"{images:>16,}" for images in sizes) + f"{'ratio':>8} (at most 1.2 is wanted)")
        for call in (UPLOAD, *CALLS):
            _say_times(call, await _times(call, sites, min(sizes.values())))


def _say_times(call: str, taken: list[list[float]]) -> None:
    medians = [statistics.median(seconds) for seconds in taken]
    cells = (
        f"{middle * 1e3:9.2f} {percentile(seconds, 0.95) * 1e3:6.2f}"
        for middle, seconds in zip(medians, taken, strict=True)
    )
    say(f"{call:30}" + "".join(cells) + f"{medians[-1] / medians[0]:8.2f}")


def _say_costs(command: str, costs: list[Cost]) -> None:
    cells = (f"{cost.seconds:9.1f} {cost.cpu:6.1f} {cost.megabytes:5.0f}" for cost in costs)
    say(f"{command:30}" + "".join(cells) + f"{costs[-1].megabytes / costs[0].megabytes:8.2f}")


@asynccontextmanager
async def _large_site(kind: str, folder: Path, images: int) -> AsyncIterator[_LargeSite]:
    """A site of so many images. The v5 database has some of them, too."""
    async with moving(kind, folder, RECONCILE_AFTER="1", RECONCILE_INTERVAL="3600") as site:
        buckets = site.deployment.buckets
        few = images // _SHARE
        if isinstance(buckets.incoming, LocalStorage):
            fill(folder / "active", images, PLAN)
            fill(folder / "incoming", few, PLAN, first=images + 1)
        else:
            await store(buckets.active, images, PLAN)
            await store(buckets.incoming, few, PLAN, first=images + 1)
        for start in range(images + few, images + 2 * few, _SHARE):
            deleted = (ImageKey.parse(f"{name_of(start + number)}.jpg") for number in range(1, 1 + _SHARE))
            await together(*(buckets.incoming.put(image.tombstone_key, b"nothing is left") for image in deleted))
        rows = ((number, f"{name_of(number)}.jpg", False) for number in range(1, min(images, _MOST_ROWS) + 1))
        await site.database.add(list(rows))
        (folder / "v5").mkdir()
        yield _LargeSite(site, Site(folder / "calls", buckets), images)


async def _times(call: str, sites: list[_LargeSite], rounds: int) -> list[list[float]]:
    """Seconds of each call, for each site; in turn."""
    taken: dict[int, list[float]] = defaultdict(list)
    for number in range(rounds + 1):
        for site in sites:
            seconds = await _seconds(call, site.calls)
            if number:  # the first one pays for what is loaded
                taken[site.images].append(seconds)
    return list(taken.values())


async def _seconds(call: str, site: Site) -> float:
    image = None if call == UPLOAD else await prepared(site, CALLS[call])
    began = time.perf_counter()
    if image is None:
        await upload(site)
    else:
        await CALLS[call].step(site, image)
    return time.perf_counter() - began


async def _cost(command: str, site: _LargeSite) -> Cost:
    deployment, database = site.moving.deployment, site.moving.database
    if command == _START:
        return await _cost_of_start(site)
    given = {"V5_DATABASE_URL": database.url, "V5_IMAGES": str(deployment.folder / "v5")}
    return await cost_of(*_COMMANDS[command], environment=deployment.environment | given)


async def _cost_of_start(site: _LargeSite) -> Cost:
    """Until the look at both buckets is over, and nothing is done any more."""
    deployment = site.moving.deployment
    began = time.monotonic()
    deployment.python = PYTHON
    process = await deployment.launch("standalone")
    await deployment.wait_ready(process)
    used, since = process.cpu_seconds(), time.monotonic()
    while time.monotonic() - since < _IDLE:
        await asyncio.sleep(0.1)
        if (now := process.cpu_seconds()) > used + 0.02:
            used, since = now, time.monotonic()
    cost = Cost(since - began, used, await asyncio.to_thread(_peak, process))
    await process.terminate()
    return cost


def _peak(process: Process) -> float:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
