"""`POST /upload` with 1, 4 and 16 clients while the resizer works on what they upload."""

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from tests.benchmarks import peers, photos
from tests.benchmarks.report import percentile, say
from tests.support.deployment import PYTHON, Deployment

_SECONDS = 8.0  # for each number of clients
_BACKLOG = 30  # images that are being rendered when the clock starts
_FACTOR = 15


def latencies(folder: Path, *, with_imagemagick: bool) -> None:
    """Time of an answer and answers a second, on the embedded default and with the services apart."""
    photo = photos.make_photo(folder)
    magick = [peers.measure("imagemagick", photo, 1, folder)["wall"] for _ in range(3)] if with_imagemagick else []
    say()
    say(f"POST /upload of the 12-megapixel photo ({photo.stat().st_size >> 10} KB) while the resizer works")
    say(f"{'':14}{'clients':>8}{'median ms':>11}{'95 % ms':>9}{'answers/s':>11}")
    for kind in ("embedded", "rabbit-local"):
        for clients, taken in asyncio.run(_measure(kind, photo)).items():
            middle, late = statistics.median(taken) * 1e3, percentile(taken, 0.95) * 1e3
            say(f"{kind:14}{clients:8}{middle:11.0f}{late:9.0f}{len(taken) / _SECONDS:11.1f}")
            if clients == 1 and magick:
                ratio = statistics.median(magick) / statistics.median(taken)
                say(f"{'':14}ImageMagick's three thumbnails take {ratio:.0f} x as long ({_FACTOR} is wanted)")


async def _measure(kind: str, photo: Path) -> dict[int, list[float]]:
    data = photo.read_bytes()  # noqa: ASYNC240 - before anything is measured
    with tempfile.TemporaryDirectory(dir=photo.parent) as name:
        async with Deployment.prepared(kind, Path(name), RESIZER_WORKERS="3") as deployment:
            deployment.python = PYTHON
            await deployment.start()
            for _ in range(_BACKLOG):
                await deployment.uploaded(data)
            return {clients: await _clients(deployment, data, clients) for clients in (1, 4, 16)}


async def _clients(deployment: Deployment, data: bytes, count: int) -> list[float]:
    taken: list[float] = []
    end = time.monotonic() + _SECONDS

    async def client() -> None:
        while (start := time.monotonic()) < end:
            await deployment.uploaded(data)
            taken.append(time.monotonic() - start)

    await asyncio.gather(*(client() for _ in range(count)))
    return taken
