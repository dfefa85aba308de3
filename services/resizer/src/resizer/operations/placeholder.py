"""Placeholders for pages to show while the picture loads: a ThumbHash and the average colour."""

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import pyvips

# The longer side in pixels. The hash holds at most 7 × 7 cosine waves, and more pixels do not change it visibly.
_SIDE = 24


@dataclass(frozen=True)
class SmallImage:
    """A few pixels, row by row: red, green and blue as 0 … 255, alpha as 0 … 1."""

    width: int
    height: int
    pixels: list[tuple[int, int, int, float]]


def shrink_for_placeholder(image: pyvips.Image) -> SmallImage:
    """The image with about _SIDE pixels on its longer side."""
    small = _boxed(image, max(1, max(image.width, image.height) / _SIDE)).colourspace("srgb")
    data = bytes(small.write_to_memory())
    alpha = small.hasalpha()
    pixels = [
        (data[i], data[i + 1], data[i + 2], data[i + 3] / 255 if alpha else 1.0)
        for i in range(0, len(data), small.bands)
    ]
    return SmallImage(small.width, small.height, pixels)


def _boxed(image: pyvips.Image, reduction: float) -> pyvips.Image:
    """The image shrunk by about `reduction` with a box filter. A better filter would not change the lowest waves."""
    across, down = (max(1, min(side, round(reduction))) for side in (image.width, image.height))
    if across == down == 1:
        return image
    if not image.hasalpha():
        return image.shrink(across, down)
    return image.premultiply().shrink(across, down).unpremultiply().cast(image.format)


def average_colour(small: SmallImage) -> str:
    """The average colour of the image on white, as `#rrggbb`."""
    rows = small.pixels
    count = len(rows)
    return "#" + "".join(f"{round(sum(p[c] * p[3] + 255 * (1 - p[3]) for p in rows) / count):02x}" for c in range(3))


def thumbhash(small: SmallImage) -> str:
    """The image's ThumbHash in base64, by the algorithm at https://github.com/evanw/thumbhash (Evan Wallace, 2023).

    Luminance, two colour differences and alpha are each stored as the lowest frequencies of a cosine transform.
    """
    width, height, pixels = small.width, small.height, small.pixels
    weight = sum(p[3] for p in pixels)
    average = [sum(p[c] * p[3] for p in pixels) / weight / 255 if weight else 0.0 for c in range(3)]
    channels: list[list[float]] = [[], [], [], []]
    for p in pixels:
        r, g, b = (average[c] * (1 - p[3]) + p[3] * p[c] / 255 for c in range(3))
        for channel, value in zip(channels, ((r + g + b) / 3, (r + g) / 2 - b, r - g, p[3]), strict=True):
            channel.append(value)
    has_alpha = weight < len(pixels)
    limit = 5 if has_alpha else 7
    longest = max(width, height)
    across = max(1, _round(limit * width / longest))
    down = max(1, _round(limit * height / longest))
    light, p_wave, q_wave, alpha = channels
    l_code = _waves(light, width, height, max(3, across), max(3, down))
    p_code = _waves(p_wave, width, height, 3, 3)
    q_code = _waves(q_wave, width, height, 3, 3)
    codes = [l_code, p_code, q_code]
    landscape = width > height
    head = (
        _round(63 * l_code[0])
        | _round(31.5 + 31.5 * p_code[0]) << 6
        | _round(31.5 + 31.5 * q_code[0]) << 12
        | _round(31 * l_code[2]) << 18
        | has_alpha << 23
    )
    tail = (down if landscape else across) | _round(63 * p_code[2]) << 3 | _round(63 * q_code[2]) << 9 | landscape << 15
    packed = [head & 255, head >> 8 & 255, head >> 16, tail & 255, tail >> 8]
    if has_alpha:
        a_code = _waves(alpha, width, height, 5, 5)
        codes.append(a_code)
        packed.append(_round(15 * a_code[0]) | _round(15 * a_code[2]) << 4)
    nibbles = [_round(15 * wave) for code in codes for wave in code[1]]
    nibbles += [0] * (len(nibbles) % 2)
    packed += [low | high << 4 for low, high in zip(nibbles[::2], nibbles[1::2], strict=True)]
    return base64.b64encode(bytes(packed)).decode()


def _waves(
    channel: Sequence[float], width: int, height: int, across: int, down: int
) -> tuple[float, list[float], float]:
    """The channel's cosine transform: its constant term, its lowest frequencies scaled to 0 … 1, and the scale."""
    columns = [[math.cos(math.pi / width * x * (i + 0.5)) for i in range(width)] for x in range(across)]
    rows = [[math.cos(math.pi / height * y * (j + 0.5)) for j in range(height)] for y in range(down)]
    lines = [channel[j * width : (j + 1) * width] for j in range(height)]
    by_column = [[sum(map(_times, line, column)) for line in lines] for column in columns]
    area = width * height
    constant = sum(channel) / area
    waves = [
        sum(map(_times, by_column[x], rows[y])) / area
        for y, x in product(range(down), range(across))
        if (x or y) and x * down < across * (down - y)
    ]
    scale = max(map(abs, waves), default=0.0)
    return constant, [0.5 + 0.5 / scale * wave for wave in waves] if scale else [0.0] * len(waves), scale


def _times(a: float, b: float) -> float:
    return a * b


def _round(value: float) -> int:
    return math.floor(value + 0.5)
