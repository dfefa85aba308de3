"""Photos to measure with, made anew: a natural spectrum with edges, texture and sensor noise."""

from pathlib import Path

import pyvips

_OCTAVES = ((512, 70), (128, 40), (32, 22), (8, 12), (3, 7))  # cell size in pixels, and weight


def make_photo(path: Path, width: int = 4000, height: int = 3000, **options: object) -> Path:
    """Write a photo-like JPEG of this size; `options` go to the encoder. Returns the path."""
    if not path.exists():
        image = _scene(width, height)
        image.jpegsave(str(path), Q=92, **options)
    return path


def make_png(path: Path, width: int = 4000, height: int = 3000) -> Path:
    """Write the same scene as a PNG. Returns the path."""
    if not path.exists():
        _scene(width, height).pngsave(str(path), compression=6)
    return path


def _scene(width: int, height: int) -> pyvips.Image:
    bands = []
    for seed in range(3):
        octaves = [
            pyvips.Image.perlin(width, height, cell_size=cell, seed=7 * seed + index) * weight
            for index, (cell, weight) in enumerate(_OCTAVES)
        ]
        bands.append(pyvips.Image.sum(octaves) + 120)
    # A ridge: the sky above is smooth, what is below has edges.
    ridge = pyvips.Image.perlin(width, height, cell_size=700, seed=99) * height * 0.2 + height * 0.45
    rows = pyvips.Image.xyz(width, height)[1]
    ground = rows > ridge
    textured = bands[0].bandjoin(bands[1:]) * 1.2
    sky = (rows / height * 60).linear([1, 1, 1], [110, 140, 190])
    noise = pyvips.Image.gaussnoise(width, height, mean=0, sigma=3, seed=5)
    scene = ground.ifthenelse(textured, sky) + noise
    return scene.cast("uchar").copy(interpretation="srgb")
