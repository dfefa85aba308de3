"""Photos to measure with: four of a Debian package side by side, so that there is real detail at every size."""

import subprocess
from functools import cache
from pathlib import Path

import pyvips

_PACKAGE = "lomiri-wallpapers-16.04"
_BACKGROUNDS = Path("usr/share/backgrounds")
_PHOTOS = (
    "aitzgorri_by_Aitzol_Berasategi.jpg",
    "life_by_Aitzol_Berasategi.jpg",
    "Bridge_by_Sander_Klootwijk.jpg",
    "picosdeeuropa_by_Aitzol_Berasategi.jpg",
)
_TILE = 3000, 2250  # pixels


def fetch(folder: Path) -> None:
    """Fetch the package with the photos. Raises CalledProcessError, OSError."""
    if not (folder / _BACKGROUNDS).exists():
        subprocess.run(["apt-get", "download", "-q", _PACKAGE], check=True, capture_output=True, cwd=folder)
        (package,) = folder.glob(f"{_PACKAGE}_*.deb")
        subprocess.run(["dpkg", "-x", str(package), str(folder)], check=True, capture_output=True)


def make_photo(folder: Path, width: int = 4000, height: int = 3000, **options: object) -> Path:
    """A JPEG of this size, quality 92; `options` go to the encoder. Returns its path."""
    path = folder / f"photo-{'-'.join(map(str, (width, *options)))}.jpg"
    if not path.exists():
        _scaled(folder, width, height).jpegsave(str(path), Q=92, subsample_mode="on", keep="none", **options)
    return path


def make_png(folder: Path, width: int = 4000, height: int = 3000, **options: object) -> Path:
    """The same as a PNG. Returns its path."""
    path = folder / f"photo-{'-'.join(map(str, (width, *options)))}.png"
    if not path.exists():
        _scaled(folder, width, height).pngsave(str(path), compression=6, keep="none", **options)
    return path


def make_gif(folder: Path, width: int = 640, height: int = 480, frames: int = 20) -> Path:
    """An animation that moves over the photos. Returns its path."""
    path = folder / f"animation-{width}.gif"
    if not path.exists():
        scene = _scaled(folder, 3000, 2250)
        moved = [scene.crop(60 * frame, 40 * frame, width, height) for frame in range(frames)]
        strip = pyvips.Image.arrayjoin(moved, across=1).copy()
        strip.set_type(pyvips.GValue.gint_type, "page-height", height)
        strip.set_type(pyvips.GValue.array_int_type, "delay", [80] * frames)
        strip.gifsave(str(path), effort=4)
    return path


def make_svg(folder: Path) -> Path:
    """A drawing of two thousand shapes, 3000 × 2000. Returns its path."""
    path = folder / "drawing.svg"
    shapes = (
        f'<circle cx="{index * 37 % 3000}" cy="{index * 91 % 2000}" r="{20 + index % 60}" '
        f'fill="hsl({index * 7 % 360},70%,50%)" opacity="0.6"/>'
        for index in range(2000)
    )
    path.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" width="3000" height="2000">{"".join(shapes)}</svg>')
    return path


def _scaled(folder: Path, width: int, height: int) -> pyvips.Image:
    scene = _scene(folder)
    return scene.resize(width / scene.width, vscale=height / scene.height)


@cache
def _scene(folder: Path) -> pyvips.Image:
    tiles = [
        pyvips.Image.thumbnail(str(folder / _BACKGROUNDS / name), _TILE[0], height=_TILE[1], crop="centre")
        for name in _PHOTOS
    ]
    return pyvips.Image.arrayjoin(tiles, across=2).copy_memory()
