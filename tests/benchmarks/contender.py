"""One contender in a process of its own: `contender NAME PHOTO REPETITIONS FOLDER`.

Makes the three default thumbnails REPETITIONS times after once to warm up, leaves them in FOLDER, and prints the CPU
and wall seconds of one as JSON.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pyvips

from common.images.names import Format
from common.images.plan import Output
from common.images.sizes import parse_sizes
from common.imaging.protocol import Limits
from resizer.operations.render import RenderJob, render

Thumbnails = dict[str, bytes]
SIZES = {"BI": "1500x1500>", "MI": "400x400>", "SI": "200x200^"}


def ours(photo: Path, _folder: Path) -> Thumbnails:
    """The resizer's own operation."""
    job = RenderJob(path=photo, limits=Limits(), sizes=parse_sizes(None), outputs=(Output(format=Format.JPG),))
    _, blobs = render(job)
    return dict(zip(SIZES, blobs, strict=True))


def pillow(photo: Path, _: Path) -> Thumbnails:
    """Pillow at its best: the decoder's own reduction, then each from the one before."""
    from PIL import Image, ImageOps  # type: ignore[import-not-found] # noqa: PLC0415 - optional

    image = Image.open(photo)
    image.draft("RGB", (3000, 3000))
    image.thumbnail((1500, 1500), Image.Resampling.LANCZOS, reducing_gap=None)
    small = image.copy()
    small.thumbnail((400, 400), Image.Resampling.LANCZOS)
    square = ImageOps.fit(image, (200, 200), Image.Resampling.LANCZOS)
    made = {}
    for suffix, version in (("BI", image), ("MI", small), ("SI", square)):
        out = BytesIO()
        version.save(out, "JPEG", quality=90, subsampling="4:2:0")
        made[suffix] = out.getvalue()
    return made


def vipsthumbnail(photo: Path, folder: Path) -> Thumbnails:
    """Libvips' own program, once for each size."""
    for suffix, options in (
        ("BI", ["-s", "1500x1500>"]),
        ("MI", ["-s", "400x400>"]),
        ("SI", ["-s", "200x200", "-m", "centre"]),
    ):
        command = ["vipsthumbnail", str(photo), *options, "-o", f"{folder / suffix}.jpg[Q=90,subsample-mode=on,strip]"]
        subprocess.run(command, check=True, capture_output=True)
    return {suffix: (folder / f"{suffix}.jpg").read_bytes() for suffix in SIZES}


def imagemagick(photo: Path, folder: Path) -> Thumbnails:
    """As the existing backends call it: one process for each size."""
    for suffix, geometry in SIZES.items():
        square = ["-gravity", "center", "-extent", "200x200"] if suffix == "SI" else []
        target = f"jpg:{folder / suffix}.jpg"
        command = ["convert-im6.q16", str(photo), "-resize", geometry, *square, "-quality", "90", target]
        subprocess.run(command, check=True, capture_output=True)
    return {suffix: (folder / f"{suffix}.jpg").read_bytes() for suffix in SIZES}


CONTENDERS: dict[str, Callable[[Path, Path], Thumbnails]] = {
    found.__name__: found for found in (ours, pillow, vipsthumbnail, imagemagick)
}


def main() -> None:
    """Measure the contender that the command line names."""
    name, photo, repetitions, folder = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    pyvips.cache_set_max(0)
    make = CONTENDERS[name]
    for suffix, data in make(photo, folder).items():
        (folder / suffix).write_bytes(data)
    cpu, wall = _cpu(), time.monotonic()
    for _ in range(repetitions):
        make(photo, folder)
    used = {"cpu": (_cpu() - cpu) / repetitions, "wall": (time.monotonic() - wall) / repetitions}
    print(json.dumps(used))  # noqa: T201


def _cpu() -> float:
    found = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in found)


if __name__ == "__main__":
    main()
