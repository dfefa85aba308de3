"""Landscapes to upload, drawn by libvips: none has to be kept, or fetched from elsewhere."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

import pyvips

Colour = tuple[int, int, int]

_SIZES = ((2000, 1333), (2200, 1250), (1250, 1667))
_RIDGES = 6


@dataclass(frozen=True)
class Palette:
    """The colours of a landscape: the sky above and at the horizon, its light, the far ridge and the near one."""

    name: str
    above: Colour
    horizon: Colour
    light: Colour
    far: Colour
    near: Colour
    roughness: float  # 0: dunes, 1: rocks


_PALETTES = (
    Palette("morning", (74, 120, 176), (250, 214, 178), (255, 240, 210), (150, 160, 184), (28, 52, 58), 0.8),
    Palette("dunes", (92, 150, 196), (248, 226, 190), (255, 246, 220), (232, 186, 130), (150, 84, 44), 0.05),
    Palette("evening", (38, 34, 82), (244, 128, 92), (255, 214, 150), (150, 90, 120), (26, 18, 44), 0.7),
    Palette("mist", (168, 186, 190), (226, 230, 224), (250, 250, 244), (190, 202, 200), (52, 82, 78), 0.5),
    Palette("glacier", (30, 84, 148), (188, 222, 238), (250, 252, 255), (206, 226, 238), (58, 96, 130), 1.0),
    Palette("night", (8, 12, 34), (44, 62, 104), (230, 234, 250), (38, 52, 84), (6, 10, 22), 0.9),
)


def landscapes() -> Iterator[tuple[str, bytes]]:
    """A dozen: what each is called, and its JPEG."""
    for number in range(2 * len(_PALETTES)):
        palette = _PALETTES[number % len(_PALETTES)]
        width, height = _SIZES[number % len(_SIZES) if number < len(_PALETTES) else (number + 1) % len(_SIZES)]
        image = landscape(palette, width, height, seed=number)
        yield f"{palette.name}-{number + 1}.jpg", image.jpegsave_buffer(Q=92)


def landscape(palette: Palette, width: int, height: int, seed: int) -> pyvips.Image:
    """One landscape; another seed gives other ridges."""
    chance = random.Random(seed)  # noqa: S311 - a picture, not a secret
    across = pyvips.Image.xyz(width, height)
    x, y = across[0], across[1]
    image = _between(palette.above, palette.horizon, (y / (height * 0.62)).linear(1, 0))
    image = _glow(image, palette.light, x - width * chance.uniform(0.2, 0.8), y - height * 0.36, height * 0.06)
    for ridge in range(_RIDGES):
        nearness = (ridge + 1) / _RIDGES
        line = height * (0.42 + 0.5 * nearness**1.3) - _profile(width, height, palette.roughness, nearness, chance)
        depth = y - line.replicate(1, height)
        shade = _between(_mixed(palette.far, palette.near, nearness), palette.far, depth / (height * 0.9))
        image = depth.linear(1, 0.5).clamp(min=0, max=1).linear(255, 0).ifthenelse(shade, image, blend=True)
    grain = pyvips.Image.gaussnoise(width, height, mean=0, sigma=3, seed=seed)
    return (image + grain).cast("uchar").copy(interpretation="srgb")


def _profile(width: int, height: int, roughness: float, nearness: float, chance: random.Random) -> pyvips.Image:
    """How high a ridge is over its line, as an image of one row."""
    profile = pyvips.Image.black(width, 1).cast("float")
    for octave in range(6):
        cell = max(4, int(width * (0.55 - 0.25 * nearness)) >> octave)
        strength = height * 0.16 * (0.2 + 0.3 * roughness if octave else 1) * 0.55**octave
        if octave > 1:
            strength *= roughness
        noise = pyvips.Image.perlin(width, 8, cell_size=cell, seed=chance.randrange(1 << 20))
        profile += noise.crop(0, 4, width, 1) * strength
    return profile


def _glow(image: pyvips.Image, light: Colour, x: pyvips.Image, y: pyvips.Image, radius: float) -> pyvips.Image:
    """The sun or the moon at these distances, and the light around it."""
    distance = (x * x + y * y) ** 0.5
    halo = ((distance / (radius * -5)).exp() * 150).cast("uchar")
    disc = (radius - distance).clamp(min=0, max=1) * 255
    shining = halo.ifthenelse(list(light), image, blend=True)
    return disc.cast("uchar").ifthenelse(list(light), shining, blend=True)


def _between(one: Colour, other: Colour, part: pyvips.Image) -> pyvips.Image:
    """From the one colour, where `part` is 0 or less, to the other, where it is 1 or more."""
    part = part.clamp(min=0, max=1)
    bands = [part * (end - start) + start for start, end in zip(one, other, strict=True)]
    return bands[0].bandjoin(bands[1:])


def _mixed(one: Colour, other: Colour, part: float) -> Colour:
    red, green, blue = (round(start + (end - start) * part) for start, end in zip(one, other, strict=True))
    return red, green, blue
