"""The store near and far, the broker 2 ms away: what a photo waits for, and how many are rendered a second."""

import asyncio
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks import photos
from tests.benchmarks.pipeline import connected, counted, measured_rate
from tests.benchmarks.report import percentile, say
from tests.support.deployment import PYTHON, Deployment
from tests.support.distance import at_a_distance
from tests.support.eventually import eventually
from yarl import URL

from common.messaging.events import Event, ThumbnailsReady
from common.messaging.rabbit import RabbitBus

_BROKER = 0.002  # seconds
_STORES = {"folders": None, "S3": 0.0, "S3, 5 ms": 0.005, "S3, 20 ms": 0.02, "S3, 80 ms": 0.08}
_ROUNDS = 3
_ALONE = 15  # photos of each round


@dataclass
class _Found:
    """Seconds of each photo that came alone, and the photos a second of each round."""

    answered: list[float] = field(default_factory=list)
    ready: list[float] = field(default_factory=list)
    published: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)


def report(folder: Path) -> None:
    """Everything for each store, in turn."""
    photo = photos.make_photo(folder)
    found: dict[str, _Found] = defaultdict(_Found)
    for _ in range(_ROUNDS):
        for name, seconds in _STORES.items():
            asyncio.run(_measure(photo, seconds, found[name]))
    near = statistics.median(found["S3"].rates)
    say()
    away = f"{_BROKER * 1e3:.0f} ms"
    say(f"The 12-megapixel photo ({photo.stat().st_size >> 10} KB), the broker {away} away: median and 95 % in ms")
    say(f"{'':11}{'upload answered':>18}{'upload to ready':>18}{'publish':>14}{'photos/s':>10}{'of near S3':>11}")
    for name, of in found.items():
        rate = statistics.median(of.rates)
        times = "".join(
            f"{_times(values):>{width}}" for values, width in ((of.answered, 18), (of.ready, 18), (of.published, 14))
        )
        wanted = " (at least 90 % is wanted)" if name == "S3, 20 ms" else ""
        say(f"{name:11}{times}{rate:10.1f}{rate / near:11.0%}{wanted}")
    far, distance = found["S3, 80 ms"], _STORES["S3, 80 ms"]
    assert distance is not None
    rounds = (statistics.median(far.published) - statistics.median(found["S3"].published)) / distance
    say(f"publish waits {rounds:.1f} times for the store (at most 8 are wanted)")


def _times(values: list[float]) -> str:
    return f"{statistics.median(values) * 1e3:.0f} {percentile(values, 0.95) * 1e3:5.0f}"


async def _measure(photo: Path, seconds: float | None, found: _Found) -> None:
    with tempfile.TemporaryDirectory(dir=photo.parent) as name:
        async with _deployment(Path(name), seconds) as deployment:
            assert deployment.vhost is not None
            bus = RabbitBus(deployment.vhost.url, "bench")
            bus.start()
            await eventually(lambda: connected(bus), "a connection")
            try:
                await _one_after_another(deployment, photo, found)
                for service in ("ingest", "publisher"):
                    await deployment.processes[service].terminate()
                resizer = deployment.processes["resizer"]
                async with counted(bus, ()) as ready:
                    rate = await measured_rate(bus, deployment.buckets, photo, ready, resizer.pid)
                found.rates.append(rate.images_a_second)
            finally:
                await bus.close()


@asynccontextmanager
async def _deployment(folder: Path, seconds: float | None) -> AsyncIterator[Deployment]:
    """All services, with a store so many seconds away, or folders."""
    workers = str(len(os.sched_getaffinity(0)) + 1)
    kind = "rabbit-local" if seconds is None else "rabbit-s3"
    async with AsyncExitStack() as stack:
        deployment = await stack.enter_async_context(Deployment.prepared(kind, folder, RESIZER_WORKERS=workers))
        assert deployment.vhost is not None
        away = {"RABBITMQ_URL": (URL(deployment.vhost.url), _BROKER)}
        if deployment.s3 is not None and seconds is not None:
            away["STORE_ENDPOINT"] = URL(deployment.s3.endpoint), seconds
        for setting, (url, distance) in away.items():
            assert url.host is not None
            assert url.port is not None
            port = await stack.enter_async_context(at_a_distance(url.host, url.port, distance))
            deployment.environment[setting] = str(url.with_host("127.0.0.1").with_port(port)).rstrip("/")
        deployment.python = PYTHON
        await deployment.start()
        yield deployment
        await deployment.end()


async def _one_after_another(deployment: Deployment, photo: Path, found: _Found) -> None:
    data = await asyncio.to_thread(photo.read_bytes)
    made: dict[str, asyncio.Event] = defaultdict(asyncio.Event)

    def hear(event: Event) -> None:
        if isinstance(event, ThumbnailsReady):
            made[str(event.subject)].set()

    assert deployment.vhost is not None
    bus = RabbitBus(deployment.vhost.url, "bench-listener")
    bus.start()
    await bus.consume((), hear)
    await eventually(lambda: connected(bus), "a connection")
    try:
        for number in range(_ALONE + 1):
            times = [time.perf_counter()]
            name = await deployment.uploaded(data)
            times.append(time.perf_counter())
            await made[name].wait()
            times.append(time.perf_counter())
            await asyncio.sleep(1)  # for what follows the announcement
            began = time.perf_counter()
            status, body = await deployment.publish(name)
            assert status == 200, body
            if number:  # the first one pays for connections and decoders
                found.published.append(time.perf_counter() - began)
                found.answered.append(times[1] - times[0])
                found.ready.append(times[2] - times[0])
    finally:
        await bus.drain(1)
        await bus.close()
