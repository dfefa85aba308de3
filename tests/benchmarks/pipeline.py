"""The whole pipeline against bare rendering: originals are stored already, and every event leads to ThumbnailsReady."""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks import photos
from tests.benchmarks.renderer import bare_rate
from tests.benchmarks.report import machine_cpu_seconds, say
from tests.support.deployment import PYTHON, Deployment
from tests.support.eventually import eventually
from tests.support.process import decoders_of

from common.images.formats import Format
from common.images.names import ImageKey
from common.lifecycle import exempt_from_collection
from common.messaging.bus import Bus, Subscription
from common.messaging.embedded import EmbeddedBus
from common.messaging.events import ImageUploaded, ThumbnailsReady
from common.messaging.rabbit import RabbitBus
from common.messaging.topology import PUBLISHER
from common.sandbox.usage import cpu_seconds
from common.storage.base import Buckets
from common.storage.local import LocalStorage
from resizer.bootstrap import resizer
from resizer.settings import ResizerSettings

_IMAGES = 120
_ROUNDS = 5


class Rate(NamedTuple):
    """What one run came to. The times are CPU seconds an image, without those of decoding processes."""

    images_a_second: float
    service: float
    others: float
    """Of all other processes of this machine: the broker's, and this benchmark's own."""


def rates(folder: Path) -> None:
    """Images a second of the embedded default and over RabbitMQ, beside bare rendering, in turn."""
    photo = photos.make_photo(folder)
    workers = len(os.sched_getaffinity(0)) + 1
    bare: list[float] = []
    found: dict[str, list[Rate]] = {"embedded": [], "RabbitMQ": []}
    exempt_from_collection()  # as services do when they start
    with tempfile.TemporaryDirectory(dir=folder) as kept:
        for _ in range(_ROUNDS):
            bare.append(asyncio.run(bare_rate(photo, workers, _IMAGES)))
            found["embedded"].append(asyncio.run(embedded_rate(photo, kept)))
            found["RabbitMQ"].append(asyncio.run(rabbit_rate(photo, kept)))
    say()
    say(f"The pipeline, {_IMAGES} photos of 12 megapixels from the first event to the last ThumbnailsReady")
    say("CPU ms an image, beside rendering: of the service, and of all others (the broker, this benchmark)")
    say(f"{'':12}{'images/s':>9}{'of bare':>9}{'(of each round)':>17}{'service':>9}{'others':>8}")
    say(f"{'bare':12}{statistics.median(bare):9.1f}{1:9.0%}{'':17}")
    for name, runs in found.items():
        rate, service, others = (statistics.median(column) for column in zip(*runs, strict=True))
        # Each beside the bare rendering of its own round: a shared machine changes its speed from minute to minute.
        ratios = [run.images_a_second / most for run, most in zip(runs, bare, strict=True)]
        spread = f"{min(ratios):.0%} to {max(ratios):.0%}"
        wanted = {"embedded": "(at least 95 % is wanted)", "RabbitMQ": "(at least 93 % is wanted)"}[name]
        times = f"{service * 1e3:9.1f}{others * 1e3:8.1f}"
        say(f"{name:12}{rate:9.1f}{statistics.median(ratios):9.0%}{spread:>17}{times} {wanted}")


async def embedded_rate(photo: Path, kept: str) -> Rate:
    """A resizer within this process. Its buckets are left in the folder `kept`, until all is measured.

    For 35 seconds ext4 looks at the entries of deleted files before it uses them again. That takes CPU time, and no
    site deletes all of its images every few seconds.
    """
    folder = Path(tempfile.mkdtemp(dir=kept))
    buckets = Buckets(LocalStorage.open(folder / "incoming"), LocalStorage.open(folder / "active"))
    settings = ResizerSettings.model_validate({"storage_backend": "local", "temp_folder": folder})
    bus = EmbeddedBus()
    async with (
        resizer(settings, bus=bus, buckets=buckets) as service,
        counted(bus, service.subscriptions) as ready,
    ):
        return await measured_rate(bus, buckets, photo, ready, os.getpid())


async def rabbit_rate(photo: Path, kept: str) -> Rate:
    """A resizer on RabbitMQ. Its buckets are left in the folder `kept`, too."""
    workers = str(len(os.sched_getaffinity(0)) + 1)
    folder = Path(tempfile.mkdtemp(dir=kept))
    async with Deployment.prepared("rabbit-local", folder, RESIZER_WORKERS=workers) as deployment:
        assert deployment.vhost is not None
        deployment.python = PYTHON
        await deployment.start("resizer")
        bus = RabbitBus(deployment.vhost.url, "bench")
        bus.start()
        await eventually(lambda: connected(bus), "a connection")
        service = deployment.processes["resizer"]
        try:
            async with counted(bus, ()) as ready:
                return await measured_rate(bus, deployment.buckets, photo, ready, service.pid)
        finally:
            await bus.close()


async def connected(bus: RabbitBus) -> bool:
    """Whether the bus can publish and hear."""
    return bus.trouble() is None


@asynccontextmanager
async def counted(bus: Bus, others: tuple[Subscription, ...]) -> AsyncIterator[Callable[[int], Awaitable[None]]]:
    """Consume ThumbnailsReady. Yields what waits until there were so many."""
    count = 0
    changed = asyncio.Condition()

    async def one(_: ThumbnailsReady) -> None:
        nonlocal count
        async with changed:
            count += 1
            changed.notify_all()

    async def wait(many: int) -> None:
        async with changed:
            await changed.wait_for(lambda: count >= many)

    await bus.consume((*others, Subscription(PUBLISHER, {ThumbnailsReady: one}, slots=16, deadline=60)))
    try:
        yield wait
    finally:
        await bus.drain(1)


async def measured_rate(
    bus: Bus, buckets: Buckets, photo: Path, ready: Callable[[int], Awaitable[None]], service: int
) -> Rate:
    """How fast the service, a process of this number, brings all images to ThumbnailsReady."""
    images = [ImageKey(f"1475660224_{number}", Format.JPG) for number in range(_IMAGES + 6)]
    for image in images:
        await buckets.incoming.put_file(str(image), photo)
    warm, timed = images[:6], images[6:]
    for image in warm:
        await bus.publish(ImageUploaded(source="/bench", subject=image))
    await ready(len(warm))
    start, used = time.monotonic(), _used(service)
    for image in timed:
        await bus.publish(ImageUploaded(source="/bench", subject=image))
    await ready(len(images))
    seconds = time.monotonic() - start
    own, decoders, machine = (after - before for before, after in zip(used, _used(service), strict=True))
    return Rate(len(timed) / seconds, own / len(timed), (machine - decoders - own) / len(timed))


def _used(service: int) -> tuple[float, float, float]:
    """CPU seconds so far: of the service, of its decoding processes, and of all processes of this machine."""
    return cpu_seconds(service), sum(map(cpu_seconds, decoders_of(service))), machine_cpu_seconds()
