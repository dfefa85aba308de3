"""Uploads at this machine's limit, beside what `capacity` expects from the CPU time that photos take one by one."""

import asyncio
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks import photos
from tests.benchmarks.pipeline import connected
from tests.benchmarks.report import machine_cpu_seconds, say
from tests.support.deployment import PYTHON, Deployment
from tests.support.eventually import eventually

from common.images.formats import Format
from common.images.names import ImageKey
from common.messaging.events import Event, ImageActivated, ThumbnailsReady
from common.messaging.rabbit import RabbitBus
from common.sandbox.usage import cpu_seconds
from resizer.capacity import PhotoCost, count_events, needs

_ALONE = 15  # photos, one after the other
_TOGETHER = 60
_CLIENTS = 16
_WARM = 4
_EVENTS = 2000
_IMAGE = ImageKey("1475660224_1", Format.JPG)


class _Used(NamedTuple):
    """CPU milliseconds of each service, and of all else on this machine. Those of ingest have its decoders' in them."""

    resizer: float
    rendering: float
    ingest: float
    publisher: float
    others: float

    def since(self, before: "_Used", count: int) -> "_Used":
        """What one of `count` photos or events has taken."""
        return _Used(*((now - then) / count for now, then in zip(self, before, strict=True)))


def report(folder: Path) -> None:
    """The options of `capacity` as measured here, and the uploads a second that it expects and that there are."""
    photo, cores = photos.make_photo(folder), len(os.sched_getaffinity(0))
    size = f"12 megapixels, {photo.stat().st_size >> 10} KB"
    say()
    say(f"Uploads over HTTP until they are public ({size}), with RabbitMQ and folders, on {cores} cores")
    asyncio.run(_measure(photo, cores))


async def _measure(photo: Path, cores: int) -> None:
    with tempfile.TemporaryDirectory(dir=photo.parent) as name:
        async with _site(Path(name), cores) as site:
            await site.photos(photo, _WARM, clients=1)
            alone, _ = await site.photos(photo, _ALONE, clients=1)
            heard = await site.events(_EVENTS)
            together, rate = await site.photos(photo, _TOGETHER, clients=_CLIENTS)
    hearing = heard.ingest * count_events(()).published
    cost = PhotoCost(
        formats=frozenset(),
        resizer_ms=alone.resizer + alone.rendering,
        ingest_ms=alone.ingest - hearing,
        publisher_ms=alone.publisher,
        event_ms=heard.ingest,
        original_bytes=0.0,
        variant_bytes=0.0,
    )
    of_one = needs(1.0, cost)
    services = sum(of_one[f"{name}_cores_busy"] or 0.0 for name in ("resizer", "ingest", "publisher"))
    say(f"{'CPU ms a photo':18}{'resizer':>9}{'rendering':>11}{'ingest':>9}{'publisher':>11}{'others':>9}")
    for what, of in (("one by one", alone), (f"{_CLIENTS} clients", together)):
        say(f"{what:18}{of.resizer:9.1f}{of.rendering:11.1f}{of.ingest:9.1f}{of.publisher:11.1f}{of.others:9.1f}")
    say(
        f"capacity --cpu-ms-per-photo {cost.resizer_ms:.1f} --ingest-cpu-ms {cost.ingest_ms:.1f} "
        f"--publisher-cpu-ms {cost.publisher_ms:.1f} --event-cpu-ms {cost.event_ms:.2f}"
    )
    left = cores - together.others / 1e3 * rate
    say(f"The broker, the clients and other work left {left:.2f} cores to the services.")
    expected = left / services
    say(f"expected {expected:.1f} uploads/s, measured {rate:.1f}: {rate / expected:.0%} (80 % to 120 % is wanted)")


class _Site:
    """A running deployment, and what hears its events."""

    def __init__(self, deployment: Deployment, bus: RabbitBus) -> None:
        self._deployment = deployment
        self._bus = bus
        self._ready: dict[str, asyncio.Event] = defaultdict(asyncio.Event)

    def hear(self, event: Event) -> None:
        """Note whose variants are there."""
        if isinstance(event, ThumbnailsReady):
            self._ready[str(event.subject)].set()

    async def photos(self, photo: Path, count: int, *, clients: int) -> tuple[_Used, float]:
        """What one of so many photos takes from its upload to its activation, and how many there are a second."""
        data = await asyncio.to_thread(photo.read_bytes)
        waiting = iter(range(count))

        async def client() -> None:
            for _ in waiting:
                name = await self._deployment.uploaded(data)
                await self._ready[name].wait()
                status, body = await self._deployment.publish(name)
                assert status == 200, body

        before, start = self._used(), time.monotonic()
        await asyncio.gather(*(client() for _ in range(clients)))
        seconds = time.monotonic() - start
        return self._used().since(before, count), count / seconds

    async def events(self, count: int) -> _Used:
        """What one of so many events takes that only listeners get."""
        before = self._used()
        for _ in range(count):
            await self._bus.publish(ImageActivated(source="/bench", subject=_IMAGE))
        await asyncio.sleep(1)  # for the last ones
        return self._used().since(before, count)

    def _used(self) -> _Used:
        resizer, ingest, publisher = (self._deployment.processes[name] for name in ("resizer", "ingest", "publisher"))
        seconds = [
            sum(map(cpu_seconds, pids))
            for pids in (
                [resizer.pid],
                resizer.decoders(),
                [ingest.pid, *ingest.decoders()],
                [publisher.pid, *publisher.decoders()],
            )
        ]
        return _Used(*(1e3 * each for each in (*seconds, machine_cpu_seconds() - sum(seconds))))


@asynccontextmanager
async def _site(folder: Path, cores: int) -> AsyncIterator[_Site]:
    async with Deployment.prepared("rabbit-local", folder, RESIZER_WORKERS=str(cores + 1)) as deployment:
        assert deployment.vhost is not None
        deployment.python = PYTHON
        await deployment.start()
        bus = RabbitBus(deployment.vhost.url, "bench")
        bus.start()
        site = _Site(deployment, bus)
        await bus.consume((), site.hear)
        await eventually(lambda: connected(bus), "a connection")
        try:
            yield site
        finally:
            await bus.drain(1)
            await bus.close()
