"""One contender's thumbnails, measured in a process of its own: contender NAME KIND FILE REPETITIONS FOLDER.

KIND is what is made: `jpg`, `png`, `gif`, `svg`, `webp` or `avif`, three sizes each. Prints CPU and wall seconds an
image and the most megabytes of memory. What only one contender needs is imported by it alone, so that its memory is
not another's.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

Thumbnails = dict[str, bytes]
SIZES = {"BI": "1500x1500>", "MI": "400x400>", "SI": "200x200^"}
# The same for all who can set it.
WEBP_QUALITY, WEBP_EFFORT, AVIF_QUALITY, AVIF_EFFORT, PNG_COMPRESSION, GIF_EFFORT = 93, 4, 83, 0, 3, 1


def ours(source: Path, kind: str, _: Path) -> Thumbnails:
    """The resizer's own operation."""
    import pyvips  # noqa: PLC0415 - see above

    from common.images.formats import Format, Output  # noqa: PLC0415
    from common.images.sizes import parse_sizes  # noqa: PLC0415
    from common.sandbox.protocol import Limits  # noqa: PLC0415
    from resizer.operations.render import RenderJob, render  # noqa: PLC0415

    pyvips.cache_set_max(0)
    output = {
        "webp": Output(format=Format.WEBP, quality=WEBP_QUALITY, effort=WEBP_EFFORT),
        "avif": Output(format=Format.AVIF, quality=AVIF_QUALITY, effort=AVIF_EFFORT),
        "png": Output(format=Format.PNG),
        "gif": Output(format=Format.GIF),
    }.get(kind, Output(format=Format.JPG))
    job = RenderJob(limits=Limits(), sizes=parse_sizes(None), outputs=(output,))
    _result, blobs = render(job, source.read_bytes())
    return dict(zip(SIZES, blobs, strict=True))


def pillow(source: Path, kind: str, folder: Path) -> Thumbnails:
    """Pillow with all of the original's pixels in its largest version, and the others from that."""
    return _pillow(source, kind, folder, draft=3000)


def pillow_draft(source: Path, kind: str, folder: Path) -> Thumbnails:
    """Pillow with the decoder's own reduction to the last, which is faster, and which the picture shows."""
    return _pillow(source, kind, folder, draft=1500)


def _pillow(source: Path, kind: str, _: Path, *, draft: int) -> Thumbnails:
    from PIL import Image, ImageOps  # type: ignore[import-not-found] # noqa: PLC0415 - optional

    image = Image.open(source)
    image.draft("RGB", (draft, draft))
    image.thumbnail((1500, 1500), Image.Resampling.LANCZOS, reducing_gap=None)
    small = image.copy()
    small.thumbnail((400, 400), Image.Resampling.LANCZOS)
    square = ImageOps.fit(image, (200, 200), Image.Resampling.LANCZOS)
    options: dict[str, dict[str, Any]] = {
        "jpg": {"quality": 90, "subsampling": "4:2:0"},
        "png": {"compress_level": PNG_COMPRESSION},
        "webp": {"quality": WEBP_QUALITY, "method": WEBP_EFFORT},
        "avif": {"quality": AVIF_QUALITY, "speed": 9 - AVIF_EFFORT, "max_threads": 1},
    }
    made = {}
    for suffix, version in (("BI", image), ("MI", small), ("SI", square)):
        out = BytesIO()
        version.save(out, "JPEG" if kind == "jpg" else kind.upper(), **options[kind])
        made[suffix] = out.getvalue()
    return made


def vipsthumbnail(source: Path, kind: str, folder: Path) -> Thumbnails:
    """Libvips' own program, once for each size."""
    ending = "jpg" if kind == "svg" else kind
    options = {
        "jpg": "Q=90,subsample-mode=on,strip",
        "png": f"compression={PNG_COMPRESSION},filter=sub,strip",
        "gif": f"effort={GIF_EFFORT}",
        "webp": f"Q={WEBP_QUALITY},effort={WEBP_EFFORT},strip",
        "avif": f"Q={AVIF_QUALITY},effort={AVIF_EFFORT},subsample-mode=on,strip",
    }[ending]
    file = f"{source}[n=-1]" if kind == "gif" else str(source)
    for suffix, size in (
        ("BI", ["-s", "1500x1500>"]),
        ("MI", ["-s", "400x400>"]),
        ("SI", ["-s", "200x200", *([] if kind == "gif" else ["-m", "centre"])]),
    ):
        command = ["vipsthumbnail", file, *size, "-o", f"{folder / suffix}.{ending}[{options}]"]
        subprocess.run(command, check=True, capture_output=True)
    return {suffix: (folder / f"{suffix}.{ending}").read_bytes() for suffix in SIZES}


def imagemagick(source: Path, kind: str, folder: Path) -> Thumbnails:
    """As the existing backends call it: one process for each size."""
    ending = "jpg" if kind == "svg" else kind
    for suffix, geometry in SIZES.items():
        square = ["-gravity", "center", "-extent", "200x200"] if suffix == "SI" else []
        target = f"{ending}:{folder / suffix}.{ending}"
        command = ["convert-im6.q16", str(source), "-resize", geometry, *square, "-quality", "90", target]
        subprocess.run(command, check=True, capture_output=True)
    return {suffix: (folder / f"{suffix}.{ending}").read_bytes() for suffix in SIZES}


CONTENDERS: dict[str, Callable[[Path, str, Path], Thumbnails]] = {
    found.__name__: found for found in (ours, pillow, pillow_draft, vipsthumbnail, imagemagick)
}


def main() -> None:
    """Measure the contender that the command line names."""
    name, kind, source, repetitions, folder = sys.argv[1:]
    make = CONTENDERS[name]
    for suffix, data in make(Path(source), kind, Path(folder)).items():
        (Path(folder) / suffix).write_bytes(data)
    cpu, wall = _cpu(), time.monotonic()
    for _ in range(int(repetitions)):
        make(Path(source), kind, Path(folder))
    images = int(repetitions)
    used = {"cpu": (_cpu() - cpu) / images, "wall": (time.monotonic() - wall) / images, "mb": _megabytes()}
    print(json.dumps(used))  # noqa: T201


def _cpu() -> float:
    found = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in found)


def _megabytes() -> float:
    # Of itself by the kernel's own mark, because ru_maxrss begins with what the parent had.
    status = Path("/proc/self/status").read_text()
    itself = int(status.partition("VmHWM:")[2].split()[0])
    return max(itself, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024


if __name__ == "__main__":
    main()
