"""Whether WebP and AVIF are as good as JPEG at 90 with their default qualities, and what their files then weigh.

How good is SSIMULACRA2 (https://github.com/cloudinary/ssimulacra2): 100 is the same picture, 90 one that cannot be told
from it. Of the largest version of each photo, the middle is measured: 900 × 700 pixels.
"""

import os
import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pyvips
from tests.benchmarks import gallery
from tests.benchmarks.report import cpu_seconds, say

from common.images.formats import Format, Output
from common.images.sizes import parse_sizes
from common.settings.base import SizeSettings
from resizer.operations.encode import encode

_WIDTH, _HEIGHT = 900, 700  # pixels
_SCORES = """
import sys
from ssimulacra2.ssimulacra2 import compute_ssimulacra2
print(*(compute_ssimulacra2(sys.argv[1], path) for path in sys.argv[2:]))
"""


def report(folder: Path) -> None:
    """Print the distribution of bytes and of quality, relative to JPEG at 90, for each kind of photo."""
    set_up(folder)
    big, *_ = parse_sizes(None)
    modern = defaults()
    shares: dict[str, list[tuple[float, ...]]] = defaultdict(list)  # of each kind, per photo: bytes and quality of each
    seconds = [0.0 for _ in modern]
    for kind, path in gallery.fetched(folder):
        picture = _middle(path)
        outputs = [Output(format=Format.JPG), *modern]
        files = []
        for index, output in enumerate(outputs):
            start = cpu_seconds()
            files.append(encode(picture, output, big))
            if index:
                seconds[index - 1] += cpu_seconds() - start
        jpeg, *others = scores(picture, files, folder)
        relative = [len(file) / len(files[0]) for file in files[1:]]
        shares[kind].append((*relative, *(score - jpeg for score in others)))
    everything = [photo for photos in shares.values() for photo in photos]
    say()
    say(f"{len(everything)} photos beside JPEG at 90: least, quartiles and most; each 900 x 700 at most")
    for index, output in enumerate(modern):
        name = f"{output.format.upper()} {output.quality}, effort {output.effort}"
        say(f"{name}: {seconds[index] / len(everything) * 1e3:.0f} ms of CPU each")
        for kind, photos in (*shares.items(), ("all", everything)):
            weight = _distribution([photo[index] for photo in photos])
            quality = _distribution([photo[len(modern) + index] for photo in photos])
            say(f"  {kind:12}{len(photos):4}   bytes {weight}   SSIMULACRA2 {quality}")
    smaller = sum(photo[1] < photo[0] for photo in everything)
    say(f"AVIF is smaller than WebP for {smaller} of {len(everything)}")


def defaults() -> list[Output]:
    """The modern formats with their default qualities and efforts."""
    fields = SizeSettings.model_fields
    return [
        Output(format=name, quality=fields[f"{name}_quality"].default, effort=fields[f"{name}_effort"].default)
        for name in (Format.WEBP, Format.AVIF)
    ]


def _middle(path: Path) -> pyvips.Image:
    image = pyvips.Image.thumbnail(str(path), 1500, height=1500, size="down").colourspace("srgb")
    image = image.flatten(background=255) if image.hasalpha() else image
    width, height = min(image.width, _WIDTH), min(image.height, _HEIGHT)
    return image.crop((image.width - width) // 2, (image.height - height) // 2, width, height).copy_memory()


def scores(picture: pyvips.Image, files: list[bytes], folder: Path) -> list[float]:
    """SSIMULACRA2 of each file against the picture. `set_up` has to have been called."""
    paths = [folder / f"scored-{index}.png" for index in range(len(files) + 1)]
    for path, image in zip(paths, [picture, *(pyvips.Image.new_from_buffer(file, "") for file in files)], strict=True):
        image.pngsave(str(path), compression=1, keep="none")
    environment = os.environ | {"PYTHONPATH": str(folder / "ssimulacra2"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", _SCORES, *map(str, paths)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return [float(score) for score in done.stdout.split()]


def set_up(folder: Path) -> None:
    """Install what scores. Raises CalledProcessError."""
    if not (folder / "ssimulacra2").exists():
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "-qq",
            "--target",
            str(folder / "ssimulacra2"),
            "ssimulacra2",
        ]
        subprocess.run(command, check=True, capture_output=True)


def _distribution(values: list[float]) -> str:
    quartiles = statistics.quantiles(values, n=4, method="inclusive")
    return " ".join(f"{value:6.2f}" for value in (min(values), *quartiles, max(values)))
