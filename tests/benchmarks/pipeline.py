"""The whole pipeline against bare rendering: originals are stored already, and every event leads to ThumbnailsReady."""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from tests.benchmarks import photos
from tests.benchmarks.renderer import bare_rate
from tests.benchmarks.report import cpu_seconds, say
from tests.support.deployment import PYTHON, Deployment
from tests.support.eventually import eventually

from common.images.formats import Format
from common.images.names import ImageKey
from common.messaging.bus import Bus, Subscription
from common.messaging.embedded import EmbeddedBus
from common.messaging.events import ImageUploaded, ThumbnailsReady
from common.messaging.rabbit import RabbitBus
from common.messaging.topology import PUBLISHER
from common.storage.base import Buckets
from common.storage.local import LocalStorage
from resizer.bootstrap import resizer
from resizer.settings import ResizerSettings

_IMAGES = 60
_ROUNDS = 3


def rates(folder: Path) -> None:
    """Images a second of the embedded default and over RabbitMQ, beside bare rendering, in turn."""
    photo = photos.make_photo(folder)
    workers = len(os.sched_getaffinity(0)) + 1
    found: dict[str, list[tuple[float, float]]] = {}
    for _ in range(_ROUNDS):
        found.setdefault("bare", []).append((asyncio.run(bare_rate(photo, workers, _IMAGES)), 0.0))
        found.setdefault("embedded", []).append(asyncio.run(_embedded(photo)))
        found.setdefault("RabbitMQ", []).append(asyncio.run(rabbit_rate(photo)))
    say()
    say(f"The pipeline, {_IMAGES} photos of 12 megapixels from the first event to the last ThumbnailsReady")
    say(f"{'':12}{'images/s':>9}{'of bare':>9}{'CPU ms an image beyond rendering':>34}")
    bare = statistics.median(rate for rate, _ in found["bare"])
    for name, runs in found.items():
        rate, beyond = (statistics.median(run[index] for run in runs) for index in (0, 1))
        wanted = {"embedded": "(at least 75 % is wanted)", "RabbitMQ": "(at least 60 % is wanted)"}.get(name, "")
        say(f"{name:12}{rate:9.1f}{rate / bare:9.0%}{beyond * 1e3:10.0f} {wanted}")


async def _embedded(photo: Path) -> tuple[float, float]:
    with tempfile.TemporaryDirectory(dir=photo.parent) as name:
        folder = Path(name)
        buckets = Buckets(LocalStorage.open(folder / "incoming"), LocalStorage.open(folder / "active"))
        settings = ResizerSettings.model_validate({"storage_backend": "local", "temp_folder": folder})
        bus = EmbeddedBus()
        async with (
            resizer(settings, bus=bus, buckets=buckets) as service,
            counted(bus, service.subscriptions) as ready,
        ):
            return await images_a_second(bus, buckets, photo, ready, cpu_seconds)


async def rabbit_rate(photo: Path) -> tuple[float, float]:
    """Images a second of a resizer on RabbitMQ, and the service's own CPU seconds an image."""
    with tempfile.TemporaryDirectory(dir=photo.parent) as name:
        workers = str(len(os.sched_getaffinity(0)) + 1)
        async with Deployment.prepared("rabbit-local", Path(name), RESIZER_WORKERS=workers) as deployment:
            assert deployment.vhost is not None
            deployment.python = PYTHON
            await deployment.start("resizer")
            bus = RabbitBus(deployment.vhost.url, "bench")
            bus.start()
            await eventually(lambda: connected(bus), "a connection")
            service = deployment.processes["resizer"]
            try:
                async with counted(bus, ()) as ready:
                    return await images_a_second(bus, deployment.buckets, photo, ready, service.cpu_seconds)
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


async def images_a_second(
    bus: Bus, buckets: Buckets, photo: Path, ready: Callable[[int], Awaitable[None]], cpu: Callable[[], float]
) -> tuple[float, float]:
    """Images a second, and the service's own CPU seconds an image; the decoding processes' are not among them."""
    images = [ImageKey(f"1475660224_{number}", Format.JPG) for number in range(_IMAGES + 6)]
    for image in images:
        await buckets.incoming.put_file(str(image), photo)
    warm, timed = images[:6], images[6:]
    for image in warm:
        await bus.publish(ImageUploaded(source="/bench", subject=image))
    await ready(len(warm))
    start, used = time.monotonic(), cpu()
    for image in timed:
        await bus.publish(ImageUploaded(source="/bench", subject=image))
    await ready(len(images))
    return len(timed) / (time.monotonic() - start), (cpu() - used) / len(timed)
