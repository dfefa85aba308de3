"""ImageMagick, the program whose language RESIZING_CONFIG speaks: the tests' oracle."""

import shutil
import subprocess
from pathlib import Path

PROGRAMS = ("convert-im6.q16", "magick")


def convert(*arguments: str | Path) -> str:
    """Run ImageMagick. Returns what it printed."""
    program = next((found for name in PROGRAMS if (found := shutil.which(name))), None)
    assert program is not None, "ImageMagick is not installed: run `make servers`"
    done = subprocess.run([program, *map(str, arguments)], check=True, capture_output=True, text=True, timeout=120)
    return done.stdout


def resized(width: int, height: int, geometries: list[str]) -> dict[str, tuple[int, int]]:
    """The dimensions after `-resize`, of a width × height image, for each geometry."""
    arguments = ["-size", f"{width}x{height}", "xc:red", "-filter", "point", "-format", "%w %h\n"]
    for geometry in geometries:
        arguments += ["(", "-clone", "0", "-resize", geometry, "-write", "info:-", "+delete", ")"]
    lines = convert(*arguments, "null:").splitlines()
    sizes = [(int(line.split()[0]), int(line.split()[1])) for line in lines if line.strip()]
    return dict(zip(geometries, sizes, strict=True))
