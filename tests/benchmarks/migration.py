"""Moving a site: how fast what is done is passed over, how fast images come over, and what uploads notice of it."""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.benchmarks import photos
from tests.benchmarks.pipeline import rabbit_rate
from tests.benchmarks.report import percentile, say
from tests.benchmarks.watched import cost_of
from tests.support.deployment import PYTHON, Deployment
from tests.support.migration import Moving, moving
from tests.support.originals import Originals

from common.images.plan import Plan
from common.images.sizes import parse_sizes
from common.storage.local import LocalStorage

_ROWS = 500_000
_PIECE = 2_000  # names in a piece of the checkpoint
_IMAGES = 150
_ROUNDS = 3
_BACKLOG = 500


def report(folder: Path) -> None:
    """All three."""
    asyncio.run(_skipped(folder))
    _end_to_end(folder)
    asyncio.run(_beside_uploads(folder))


async def _skipped(folder: Path) -> None:
    say()
    say("A second run over a database of which all is done: every row read and looked up")
    for rows in (_ROWS // 10, _ROWS):
        with tempfile.TemporaryDirectory(dir=folder) as name:
            async with moving("rabbit-local", Path(name)) as site:
                await _all_done(site, rows)
                (Path(name) / "v5").mkdir()
                given = {"V5_DATABASE_URL": site.database.url, "V5_IMAGES": f"{name}/v5"}
                environment = site.deployment.environment | given
                seconds, _, megabytes = await cost_of("migrator", "migrate", environment=environment)
        wanted = " (20,000 a second are wanted, and constant memory)" if rows == _ROWS else ""
        say(f"{rows:8,} rows: {seconds:5.1f} s, {rows / seconds:9,.0f} rows a second, {megabytes:.0f} MB{wanted}")


async def _all_done(site: Moving, rows: int) -> None:
    """As a complete run leaves it: two rows in five are of a name that came before, one in a hundred is deleted."""
    names = [f"{1000000000 + number // 5 * 3 + min(number % 5, 2)}_1" for number in range(rows)]
    await site.database.add([(number, f"{name}.jpg", False) for number, name in enumerate(names)])
    incoming = site.deployment.folder / "incoming"
    plan = Plan(parse_sizes(None))
    state = ":".join(plan.configuration(stage) for stage in plan.stages)
    unique = sorted(set(names))
    for folder in ("checkpoints", "tombstones"):
        (incoming / folder).mkdir(exist_ok=True)
    for start in range(0, len(unique), _PIECE):
        piece = "".join(f"{name} {state}\n" for name in unique[start : start + _PIECE])
        (incoming / "checkpoints" / f"migrate-{start:020d}").write_text(piece)
    for name in unique[::100]:
        (incoming / "tombstones" / name).touch()


def _end_to_end(folder: Path) -> None:
    photo = photos.make_photo(folder)
    moved: list[float] = []
    rendered: list[float] = []
    with tempfile.TemporaryDirectory(dir=folder) as kept:
        for _ in range(_ROUNDS):
            rendered.append(asyncio.run(rabbit_rate(photo, kept)).images_a_second)
            moved.append(asyncio.run(_moved(photo)))
    rate, pipeline = statistics.median(moved), statistics.median(rendered)
    say()
    say(f"{_IMAGES} photos of 12 megapixels brought over from a web server on loopback, thumbnails included")
    say(f"{rate:.1f} images a second: {rate / pipeline:.0%} of the pipeline's {pipeline:.1f} (95 % is wanted)")


async def _moved(photo: Path) -> float:
    """Images a second, from the first that is public with its thumbnails to the last."""
    names = [f"{1000000000 + number}_1.jpg" for number in range(_IMAGES)]
    async with _site(photo.parent, dict.fromkeys(names, await asyncio.to_thread(photo.read_bytes)), "resizer") as (
        site,
        source,
    ):
        await site.database.add([(number, name, False) for number, name in enumerate(names)])
        process = await site.begin("migrator", "migrate", V5_IMAGES=source)
        active = site.deployment.folder / "active"
        count, marks = 0, []
        while process.returncode is None or count < _IMAGES:
            await asyncio.sleep(0.05)
            if (now := len(list(active.glob("*.json")))) > count:
                count = now
                marks.append((time.monotonic(), count))
        assert await process.wait() == 0
    (first, before), (last, after) = marks[0], marks[-1]
    return (after - before) / (last - first)


@asynccontextmanager
async def _site(parent: Path, files: dict[str, bytes], *services: str) -> AsyncIterator[tuple[Moving, str]]:
    workers = str(len(os.sched_getaffinity(0)) + 1)
    with tempfile.TemporaryDirectory(dir=parent) as name:
        async with (
            moving("rabbit-local", Path(name), RESIZER_WORKERS=workers) as site,
            Originals.served(files) as originals,
        ):
            site.deployment.python = PYTHON
            await site.deployment.start(*services)
            yield site, originals.url


async def _beside_uploads(folder: Path) -> None:
    photo = photos.make_photo(folder).read_bytes()
    names = [f"{1000000000 + number}_1.jpg" for number in range(_BACKLOG)]
    async with _site(folder, dict.fromkeys(names, photo)) as (site, source):
        deployment = site.deployment
        await site.database.add([(number, name, False) for number, name in enumerate(names)])
        one = min([await _until_ready(deployment, photo) for _ in range(5)])
        idle = [await _until_ready(deployment, photo) for _ in range(20)]
        process = await site.begin("migrator", "migrate", V5_IMAGES=source)
        await deployment.wait_for(deployment.buckets.active, f"{names[4][:-4]}.json")
        busy: list[float] = []
        while process.returncode is None and len(busy) < 60:
            busy.append(await _until_ready(deployment, photo))
        assert await process.wait() == 0
    quiet, loaded = percentile(idle, 0.95), percentile(busy, 0.95)
    say()
    say(f"From POST /upload to the record of the thumbnails, one client, while {_BACKLOG} images are moved")
    say(f"idle: 95 % within {quiet * 1e3:.0f} ms; moving: {loaded * 1e3:.0f} ms, over {len(busy)} uploads")
    say(f"twice the idle time and one rendering are {(2 * quiet + one) * 1e3:.0f} ms (no more is wanted)")


async def _until_ready(deployment: Deployment, photo: bytes) -> float:
    began = time.monotonic()
    name = await deployment.uploaded(photo)
    incoming = LocalStorage(deployment.folder / "incoming")
    while await incoming.stat(f"{name[:-4]}.json") is None:  # noqa: ASYNC110 - what a page does, too
        await asyncio.sleep(0.005)
    return time.monotonic() - began
