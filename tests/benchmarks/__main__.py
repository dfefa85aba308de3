"""`make bench`: the renderer beside its peers, in one run, interleaved; medians and ratios.

Ratios hold; seconds depend on the machine and on who else is using it.
"""

import asyncio
import os
import resource
import statistics
import time
from pathlib import Path

import pyvips
from tests.benchmarks import peers
from tests.benchmarks.photos import make_photo
from tests.benchmarks.quality import compare, reference

from common.images.names import Format
from common.images.plan import Output
from common.images.sizes import parse_sizes
from common.imaging.pool import Pool
from common.imaging.protocol import Limits
from resizer.operations.pixels import fit
from resizer.operations.render import Rendered, RenderJob, render

FOLDER = Path(".venv/bench")
ROUNDS = 5
REPETITIONS = {"imagemagick": 1, "vipsthumbnail": 2}
# Widths that include those where a decoder's shrink lands exactly on the largest thumbnail.
WIDTHS = (1501, 1700, 2000, 2250, 2600, 3000, 3001, 3400, 4000, 4500, 5000, 5999, 6000)
NAMES = ("ours", "pillow", "sharp", "vipsthumbnail", "imagemagick")


def main() -> None:
    """Run all of it and print it."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    say("setting up the peers")
    missing = peers.set_up(FOLDER.resolve())
    for name, why in missing.items():
        say(f"missing: {name} ({why})")
    present = [name for name in NAMES if name not in missing]
    photo = make_photo(FOLDER.resolve() / "photo-4000.jpg")
    costs(photo, present, with_floor="floor" not in missing)
    throughput(photo, with_sharp="sharp" in present)
    quality(with_imagemagick="imagemagick" in present)


def say(line: str = "") -> None:
    """Print a line at once."""
    print(line, flush=True)  # noqa: T201


def costs(photo: Path, present: list[str], *, with_floor: bool) -> None:
    """CPU and bytes of the three thumbnails of a 12-megapixel photo."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in present}
    floors: list[float] = []
    for _ in range(ROUNDS):
        for name in present:
            found[name].append(peers.measure(name, photo, REPETITIONS.get(name, 5), FOLDER.resolve()))
        if with_floor:
            floors.append(sum(peers.floor(photo, 5, FOLDER.resolve())) + resizes(photo))
    mine = statistics.median(run["cpu"] for run in found["ours"])
    say()
    say("The three default thumbnails of a 12-megapixel JPEG, one process, one thread")
    say(f"{'':15}{'CPU ms':>8}{'x ours':>8}{'wall ms':>9}{'KB':>7}")
    for name, runs in found.items():
        cpu, wall = (statistics.median(run[key] for run in runs) for key in ("cpu", "wall"))
        size = sum((FOLDER / f"{name}-{photo.stem}" / suffix).stat().st_size for suffix in ("BI", "MI", "SI"))
        say(f"{name:15}{cpu * 1e3:8.0f}{cpu / mine:8.2f}{wall * 1e3:9.0f}{size / 1024:7.0f}")
    if floors:
        low = statistics.median(floors)
        say(f"{'floor':15}{low * 1e3:8.0f}{low / mine:8.2f}   libjpeg-turbo's decode and encodes, and the resizes")
        say(f"ours is {mine / low:.2f} x the floor")


def resizes(photo: Path) -> float:
    """The CPU seconds of three Lanczos resizes from memory to memory."""
    image = pyvips.Image.jpegload(str(photo)).copy_memory()
    start = _cpu()
    big = fit(image, 1500, 1125).copy_memory()
    for width, height in ((400, 300), (267, 200)):
        fit(big, width, height).copy_memory()
    return _cpu() - start


def throughput(photo: Path, *, with_sharp: bool) -> None:
    """Images a second on all cores: our pool of processes against sharp's threads, in turn."""
    cores = len(os.sched_getaffinity(0))
    rates: dict[str, list[float]] = {}
    for _ in range(3):
        for workers in (cores, cores + 1, 2 * cores):
            rates.setdefault(f"ours, {workers} processes", []).append(asyncio.run(_pooled(photo, workers)))
        if with_sharp:
            wall = peers.measure("sharp", photo, 24, FOLDER.resolve(), concurrency=2 * cores)["wall"]
            rates.setdefault("sharp", []).append(1 / wall)
    say()
    say(f"Images a second on {cores} cores")
    for name, found in rates.items():
        say(f"{name:20}{statistics.median(found):8.1f}")


async def _pooled(photo: Path, workers: int, images: int = 24) -> float:
    sizes = parse_sizes(None)
    async with Pool.open(workers, Limits()) as pool:
        job = RenderJob(path=photo, limits=pool.limits, sizes=sizes, outputs=(Output(format=Format.JPG),))
        await asyncio.gather(*(pool.run(render, job, Rendered) for _ in range(workers)))
        start = time.monotonic()
        await asyncio.gather(*(pool.run(render, job, Rendered) for _ in range(images)))
        return images / (time.monotonic() - start)


def quality(*, with_imagemagick: bool) -> None:
    """Decoded thumbnails against a full-decode Lanczos3, and how far ahead of ImageMagick's they are."""
    say()
    say("Luma against a full-decode Lanczos3: PSNR in dB, SSIM; in brackets, ahead of ImageMagick")
    worst_psnr = worst_ssim = float("inf")
    for width in WIDTHS:
        height = round(width * 3 / 4)
        photo = make_photo(FOLDER.resolve() / f"photo-{width}.jpg", width, height)
        names = ["ours", *(["imagemagick"] if with_imagemagick else [])]
        for name in names:
            peers.measure(name, photo, 1, FOLDER.resolve())
        line = f"{width:6}"
        for suffix, plan in zip(("BI", "MI", "SI"), parse_sizes(None), strict=True):
            figures = [
                compare(
                    (FOLDER / f"{name}-{photo.stem}" / suffix).read_bytes(), _perfect(photo, suffix, plan.dimensions)
                )
                for name in names
            ]
            line += f"   {suffix} {figures[0][0]:6.2f} {figures[0][1]:.4f}"
            if with_imagemagick:
                ahead = figures[0][0] - figures[1][0], figures[0][1] - figures[1][1]
                worst_psnr, worst_ssim = min(worst_psnr, ahead[0]), min(worst_ssim, ahead[1])
                line += f" ({ahead[0]:+.2f} {ahead[1]:+.4f})"
        say(line)
    if with_imagemagick:
        say(f"worst: {worst_psnr:+.2f} dB, {worst_ssim:+.4f} (no more than 0.1 dB and .0005 behind is wanted)")


def _perfect(photo: Path, suffix: str, dimensions: object) -> pyvips.Image:
    image = pyvips.Image.jpegload(str(photo))
    if suffix != "SI":
        return reference(photo, *dimensions(image.width, image.height))  # type: ignore[operator]
    scale = 200 / min(image.width, image.height)
    width, height = int(image.width * scale + 0.5), int(image.height * scale + 0.5)
    return reference(photo, width, height).crop(width // 2 - 100, height // 2 - 100, 200, 200)


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
