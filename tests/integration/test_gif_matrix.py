"""Every kind of GIF, written here block by block, so that what its variants have to show is known."""

from collections.abc import Sequence
from functools import cache
from itertools import product
from typing import Any

import pytest
import pyvips
from tests.support.exploration import some
from tests.support.pairs import all_pairs
from tests.support.variants import Configuration, by_imagemagick, difference, files, frames
from tests.support.written import gif

from common.images.formats import Format
from common.imaging.probe import load

CONFIGURATION: Configuration = {
    "BI": ["-resize", "1500x1500>"],
    "CUT": ["-crop", "20x15+3+2", "+repage"],
    "SI": ["-filter", "Catrom", "-resize", "200x200^", "-gravity", "center", "-extent", "200x200"],
    "LESS": ["-filter", "Lanczos", "-resize", "60%"],
}
OURS: Configuration = {
    suffix: [word for word in words if word not in ("-filter", "Catrom", "Lanczos")]
    for suffix, words in CONFIGURATION.items()
}
SMALL, LARGE = (37, 29), (300, 200)
CHOICES = {
    "disposal": (0, gif.KEEP, gif.BACKGROUND, gif.PREVIOUS),
    "local": (False, True),  # palettes of the frames' own
    "transparent": ("none", "second", "all"),  # frames with a transparent colour
    "partial": ("none", "later", "all"),  # frames at odd places, smaller than the screen
    "interlaced": (False, True),
    "colours": (2, 7, 60, 256),
    "metadata": (False, True),
}


# What a frame's disposal uncovers depends on these three together.
UNCOVERING = ("disposal", "transparent", "partial")
TOGETHER = [
    {name: values[0] for name, values in CHOICES.items()} | {"colours": 7} | dict(zip(UNCOVERING, chosen, strict=True))
    for chosen in product(*(CHOICES[name] for name in UNCOVERING))
]
COMBINATIONS = all_pairs(CHOICES, lambda _: True) + TOGETHER
FRAMES = 1, 3
# Each pair with each number of frames and each size.
PAIRS = all_pairs({**CHOICES, "count": FRAMES, "size": (SMALL, LARGE)}, lambda _: True)
EXACT = "BI", "CUT"  # what is not resampled


def palette(count: int, shift: int) -> gif.Palette:
    return tuple(
        ((index * 53 + 90 * shift) % 256, (index * 29 + 40 * shift) % 256, (255 - index * 3) % 256)
        for index in range(count)
    )


def drawn(size: tuple[int, int], count: int, found: dict[str, Any]) -> list[gif.Frame]:
    """The frames: stripes that move."""
    steps = []
    for number in range(count):
        left, top, width, height = 0, 0, *size
        if found["partial"] == "all" or (found["partial"] == "later" and number):
            left, top = 3 + 2 * number, 1 + 3 * number
            width, height = size[0] - left - 5, size[1] - top - number
        colours = found["colours"]
        indices = bytes(
            (x * 8 // width + y * 32 // height * 8 + number) % colours for y in range(height) for x in range(width)
        )
        own = palette(colours, number) if found["local"] else None
        see_through = found["transparent"] == "all" or (found["transparent"] == "second" and number == 1)
        transparent = 1 if see_through else None
        options = {"disposal": found["disposal"], "interlaced": found["interlaced"], "delay": 4 + number}
        steps.append(gif.Frame(left, top, width, height, indices, own, transparent, **options))
    return steps


def original(size: tuple[int, int], count: int, found: dict[str, Any]) -> tuple[bytes, bytes, list[pyvips.Image]]:
    """The file, the same without metadata, and what each of its frames shows."""
    screen = None if found["local"] else palette(found["colours"], 0)
    steps = drawn(size, count, found)
    extra = gif.comment(b"secret") + gif.xmp(b"<secret/>") if found["metadata"] else b""
    data, bare = (gif.write(*size, screen, steps, loop=3 if count > 1 else None, extra=more) for more in (extra, b""))
    pictures = [
        pyvips.Image.new_from_memory(picture, *size, 4, "uchar").copy(interpretation="srgb")
        for picture in gif.shown(*size, screen, steps)
    ]
    return data, bare, pictures


@cache
def kept(pixels: bytes, size: tuple[int, int]) -> dict[str, pyvips.Image]:
    image = pyvips.Image.new_from_memory(pixels, *size, 4, "uchar").copy(interpretation="srgb")
    return by_imagemagick(image, CONFIGURATION)


def read(data: bytes) -> pyvips.Image:
    """What browsers show, which libvips by itself does not of every file that it writes."""
    return load(data, Format.GIF, n=-1).copy_memory()


def thresholded(picture: pyvips.Image) -> pyvips.Image:
    picture = picture.colourspace("srgb")
    if not picture.hasalpha():
        return picture
    return picture.extract_band(0, n=3).bandjoin((picture[3] > 127).ifthenelse(255, 0))


def tried(count: int, size: tuple[int, int]) -> Sequence[dict[str, Any]]:
    few = [found for found in PAIRS if (found["count"], found["size"]) == (count, size)]
    return some(COMBINATIONS, [*few, *(TOGETHER if (count, size) == (3, SMALL) else [])])


@pytest.mark.explores
@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("count", FRAMES)
def test_every_frame_of_every_variant_shows_what_was_written(count: int, size: tuple[int, int]) -> None:
    wrong: list[object] = []
    for found in tried(count, size):
        data, bare, pictures = original(size, count, found)
        blobs = files(data, Format.GIF, OURS)
        assert not any(b"secret" in blob for blob in blobs.values()), found
        for suffix, blob in blobs.items():
            if blob == bare:
                continue  # the original's own frames
            strip = read(blob)
            if count > 1:
                assert strip.get("delay") == [10 * (4 + number) for number in range(count)], (found, suffix)
                assert strip.get("loop") == 4, (found, suffix)  # the file says how often it is shown again
            for number, (picture, truth) in enumerate(zip(frames(strip), pictures, strict=True)):
                expected = truth if suffix == "BI" else kept(bytes(truth.write_to_memory()), size)[suffix]
                largest, mean = difference(picture, thresholded(expected))
                # More colours than a palette holds are chosen from and dithered.
                if (suffix in EXACT and largest > 0) or mean > (9 if found["colours"] > 7 else 3):
                    wrong.append((found, number, suffix, largest, mean))
    assert wrong == []


@pytest.mark.parametrize("screen", [(640, 480), (800, 600), (1600, 1200), (2050, 40), (40, 3000)])
@pytest.mark.parametrize("count", FRAMES)
def test_a_screen_that_no_frame_fills_is_as_large_as_the_file_says(count: int, screen: tuple[int, int]) -> None:
    left, top = screen[0] - 25, screen[1] - 30
    steps = [gif.Frame(left - 3 * number, top, 20, 20, bytes([number]) * 400) for number in range(count)]
    data = gif.write(*screen, palette(4, 0), steps, loop=None)
    blobs = files(data, Format.GIF, {"WHOLE": ["-quality", "90"], "HALF": ["-resize", "50%"]})
    assert blobs["WHOLE"] == data
    pictures = frames(read(blobs["HALF"]))
    assert [(picture.width, picture.height) for picture in pictures] == [(screen[0] // 2, screen[1] // 2)] * count
    for number, picture in enumerate(pictures):
        assert picture.getpoint(1, 1)[3] == 0
        middle = (left + 10 - 3 * number) // 2, (top + 10) // 2
        assert picture.getpoint(*middle) == pytest.approx([*palette(4, 0)[number], 255], abs=2), number
