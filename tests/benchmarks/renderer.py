"""The renderer beside its peers: CPU, memory and bytes for every format, and images a second."""

import asyncio
import os
import statistics
import time
from pathlib import Path

import pyvips
from tests.benchmarks import peers, photos
from tests.benchmarks.quality import compare, reference
from tests.benchmarks.report import cpu_seconds, median, say

from common.images.formats import Format, Output
from common.images.sizes import parse_sizes
from common.sandbox.pool import Pool
from common.sandbox.protocol import Limits
from resizer.operations.pixels import fit
from resizer.operations.render import Rendered, RenderJob, render

ROUNDS = 9
_SLOW = {"imagemagick": 1, "vipsthumbnail": 1}
# Who can make the format as it is asked for: Pillow and ImageMagick do not keep the frames of an animation apart, the
# former draws no SVG, and the latter of Debian 12 draws none by itself and takes no effort for the modern ones.
_PEERS = {
    "png": ("pillow", "sharp_tuned", "vipsthumbnail", "imagemagick"),
    "gif": ("sharp_tuned", "vipsthumbnail"),
    "svg": ("sharp_tuned", "vipsthumbnail"),
    "webp": ("pillow", "sharp_tuned", "vipsthumbnail"),
    "avif": ("pillow", "sharp_tuned", "vipsthumbnail"),
}


def jpeg(folder: Path, present: list[str], *, with_floor: bool) -> None:
    """CPU, memory and bytes of the three thumbnails of a 12-megapixel photo."""
    photo = photos.make_photo(folder)
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in present}
    floors: list[float] = []
    for _ in range(ROUNDS):
        for name in present:
            runs[name].append(peers.measure(name, photo, _SLOW.get(name, 5), folder))
        if with_floor:
            floors.append(sum(peers.floor(photo, 5, folder)) + _resizes(photo, 5))
    perfect = reference(photo, parse_sizes(None)[0])
    say()
    say(f"The three default thumbnails of a 12-megapixel JPEG ({photo.stat().st_size >> 10} KB), one thread")
    _table(photo, "jpg", runs, folder)
    say(
        "Largest version against a perfect one, PSNR in dB: "
        + ", ".join(
            f"{name} {compare((peers.made_by(name, photo, folder) / 'BI').read_bytes(), perfect)[0]:.1f}"
            for name in runs
        )
    )
    if floors:
        mine, low = median(runs["ours"], "cpu"), statistics.median(floors)
        say(f"{'floor':15}{low * 1e3:8.0f}{low / mine:8.2f}   libjpeg-turbo's decode and encodes, and the resizes")
        say(f"ours is {mine / low:.2f} x the floor (at most 1.25 is wanted)")


def others(folder: Path, present: list[str]) -> None:
    """The same for the other formats."""
    photo = photos.make_photo(folder)
    sources = {
        "png": (photos.make_png(folder), "a 12-megapixel PNG, as PNG"),
        "gif": (photos.make_gif(folder), "an animation of 20 frames of 640 x 480, as GIF"),
        "svg": (photos.make_svg(folder), "a drawing of 2,000 shapes, as JPEG"),
        "webp": (photo, "the photo, as WebP"),
        "avif": (photo, "the photo, as AVIF"),
    }
    for kind, (source, what) in sources.items():
        names = ["ours", *(name for name in _PEERS[kind] if name in present)]
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in names}
        for _ in range(3):
            for name in list(names):
                try:
                    runs[name].append(peers.measure(name, source, 1 if name in _SLOW else 3, folder, kind=kind))
                except peers.Failed as why:
                    say(f"{name} cannot make {kind}: {why}")
                    names.remove(name)
                    del runs[name]
        say()
        say(f"The three default thumbnails of {what}")
        _table(source, kind, runs, folder)
        best = min(median(found, "cpu") for name, found in runs.items() if name != "ours")
        say(f"ours is {median(runs['ours'], 'cpu') / best:.2f} x the best peer (at most 1.05 is wanted)")


def _table(source: Path, kind: str, runs: dict[str, list[dict[str, float]]], folder: Path) -> None:
    mine = median(runs["ours"], "cpu")
    say(f"{'':15}{'CPU ms':>8}{'x ours':>8}{'wall ms':>9}{'peak MB':>9}{'KB':>7}")
    for name, found in runs.items():
        cpu, wall, most = (median(found, key) for key in ("cpu", "wall", "mb"))
        out = peers.made_by(name, source, folder, kind)
        size = sum((out / suffix).stat().st_size for suffix in ("BI", "MI", "SI"))
        say(f"{name:15}{cpu * 1e3:8.0f}{cpu / mine:8.2f}{wall * 1e3:9.0f}{most:9.0f}{size / 1024:7.0f}")


def _resizes(photo: Path, repetitions: int) -> float:
    """The CPU seconds of three Lanczos resizes from memory to memory."""
    image = pyvips.Image.jpegload(str(photo)).copy_memory()
    start = cpu_seconds()
    for _ in range(repetitions):
        big = fit(image, 1500, 1125).copy_memory()
        for width, height in ((400, 300), (267, 200)):
            fit(big, width, height).copy_memory()
    return (cpu_seconds() - start) / repetitions


def throughput(folder: Path, *, with_sharp: bool) -> None:
    """Images a second on all cores: our pool of processes against sharp's threads, in turn."""
    photo = photos.make_photo(folder)
    cores = len(os.sched_getaffinity(0))
    rates: dict[str, list[float]] = {}
    for _ in range(5):
        for workers in (cores, cores + 1, 2 * cores):
            rates.setdefault(f"ours, {workers} processes", []).append(asyncio.run(bare_rate(photo, workers)))
        if with_sharp:
            for name in ("sharp", "sharp_tuned"):
                wall = peers.measure(name, photo, 24, folder, concurrency=2 * cores)["wall"]
                rates.setdefault(name, []).append(1 / wall)
    say()
    say(f"Images a second on {cores} cores")
    for name, found in rates.items():
        say(f"{name:20}{statistics.median(found):8.1f}")
    if with_sharp:
        ratio = statistics.median(rates[f"ours, {cores + 1} processes"]) / statistics.median(rates["sharp"])
        say(f"ours, as it is by default, is {ratio:.2f} x sharp (at least 1.7 is wanted)")


async def bare_rate(photo: Path, workers: int, images: int = 24) -> float:
    """Images a second of the pool alone: no storage, no events."""
    async with Pool.open(workers, Limits()) as pool:
        outputs = (Output(format=Format.JPG),)
        job = RenderJob(limits=pool.limits, sizes=parse_sizes(None), outputs=outputs)
        await asyncio.gather(*(pool.run(render, job, Rendered, photo) for _ in range(workers)))
        start = time.monotonic()
        await asyncio.gather(*(pool.run(render, job, Rendered, photo) for _ in range(images)))
        return images / (time.monotonic() - start)
