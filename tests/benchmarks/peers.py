"""Setting up what is compared with. Each peer is optional; what is missing is said."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.benchmarks import photos

from common.sandbox.process import ENVIRONMENT

HERE = Path(__file__).parent


class Failed(Exception):
    """A contender could not do what it was asked to."""


_PACKAGES = {
    "convert-im6.q16": "imagemagick",
    "vipsthumbnail": "libvips-tools",
    "gcc": "gcc",
    "node": "nodejs",
    "npm": "npm",
}


def set_up(folder: Path) -> dict[str, str]:
    """Install what can be. Returns, for each peer that is missing, why."""
    missing: dict[str, str] = {}
    _install([package for program, package in _PACKAGES.items() if shutil.which(program) is None])
    for name, program in (("imagemagick", "convert-im6.q16"), ("vipsthumbnail", "vipsthumbnail")):
        if shutil.which(program) is None:
            missing[name] = f"{program} is not installed"
    for name, work in (("photos", photos.fetch), ("pillow", _pillow), ("sharp", _sharp), ("floor", _floor)):
        try:
            work(folder)
        except (OSError, subprocess.CalledProcessError) as error:
            missing[name] = str(error)
    return missing


def measure(
    name: str, source: Path, repetitions: int, folder: Path, *, kind: str = "jpg", concurrency: int = 1
) -> dict[str, float]:
    """Run a contender in a process of its own. Returns `cpu` and `wall` in seconds an image, and `mb` of memory."""
    out = made_by(name, source, folder, kind)
    out.mkdir(exist_ok=True)
    given = [kind, str(source), str(repetitions), str(out)]
    if name.startswith("sharp"):
        command = ["node", str(HERE / "sharp.mjs"), str(folder), *given, str(concurrency)]
    else:
        command = [sys.executable, "-m", "tests.benchmarks.contender", name, *given]
    environment = os.environ | {"VIPS_CONCURRENCY": "1", "MAGICK_THREAD_LIMIT": "1"}
    if name in ("ours", "sharp_tuned"):
        environment |= ENVIRONMENT  # the allocator's settings of our decoding processes, worth some percent
    if name.startswith("pillow"):
        environment["PYTHONPATH"] = str(folder / "pillow")
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise Failed(done.stderr.strip().splitlines()[-1] if done.stderr else f"exit status {done.returncode}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def made_by(name: str, source: Path, folder: Path, kind: str = "jpg") -> Path:
    """The folder with the contender's thumbnails, named BI, MI and SI."""
    return folder / f"{name}-{source.stem}-{kind}"


def floor(photo: Path, repetitions: int, folder: Path) -> tuple[float, float]:
    """libjpeg-turbo's CPU seconds for the decode, and for the three encodes."""
    command = [str(folder / "floor"), str(photo), str(repetitions)]
    decode, encode = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(decode), float(encode)


def _install(packages: list[str]) -> None:
    packages = [*packages, *([] if Path("/usr/include/jpeglib.h").exists() else ["libjpeg62-turbo-dev"])]
    if packages and os.geteuid() == 0 and shutil.which("apt-get"):
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update", "-q"], ["install", "-y", "-q", "--no-install-recommends", *packages]):
            subprocess.run(["apt-get", *command], check=False, capture_output=True, env=environment)


def _pillow(folder: Path) -> None:
    if not (folder / "pillow").exists():
        command = [sys.executable, "-m", "pip", "install", "-qq", "--target", str(folder / "pillow"), "Pillow"]
        subprocess.run(command, check=True, capture_output=True)


def _sharp(folder: Path) -> None:
    if not (folder / "node_modules" / "sharp").exists():
        command = ["npm", "install", "--silent", "--no-save", "--prefix", str(folder), "sharp"]
        subprocess.run(command, check=True, capture_output=True)


def _floor(folder: Path) -> None:
    command = ["gcc", "-O3", "-o", str(folder / "floor"), str(HERE / "floor.c"), "-ljpeg"]
    subprocess.run(command, check=True, capture_output=True)
