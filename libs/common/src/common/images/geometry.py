"""ImageMagick's geometry: `WxH` with its flags, and where gravity places a box.

The rules are those of ImageMagick 6: ParseMetaGeometry and GravityAdjustGeometry in magick/geometry.c. Tests compare
the results with the program's.
"""

import math
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Self

_FLAGS = "%!<>^@"
_SIZE = re.compile(
    r"(?P<width>[0-9]{1,9}(\.[0-9]{1,9})?)?(x(?P<height>[0-9]{1,9}(\.[0-9]{1,9})?)?)?"
    r"(?P<x>[+-][0-9]{1,9})?(?P<y>[+-][0-9]{1,9})?"
)
_MOST = 100_000  # pixels of a variant's side, or percent
LONGEST_SIDE = 10_000_000  # pixels; libvips opens no longer one


class Box(NamedTuple):
    """A rectangle in an image's coordinates, in pixels. It may reach outside of the image."""

    left: int
    top: int
    width: int
    height: int


class Gravity(StrEnum):
    """The part of an image that a box is placed at, spelt as in ImageMagick, in small letters."""

    NORTH_WEST = "northwest"
    NORTH = "north"
    NORTH_EAST = "northeast"
    WEST = "west"
    CENTER = "center"
    EAST = "east"
    SOUTH_WEST = "southwest"
    SOUTH = "south"
    SOUTH_EAST = "southeast"


@dataclass(frozen=True)
class Geometry:
    """A parsed geometry: numbers in pixels or, with the flag `%`, percent; `flags` as written, in order."""

    width: float | None
    height: float | None
    x: int | None
    y: int | None
    flags: str
    text: str

    @classmethod
    def parse(cls, text: str, most: int = _MOST) -> Self:
        """Parse a geometry whose sides have `most` pixels or percent. Raises ValueError that names what is wrong."""
        flags = "".join(sorted({character for character in text if character in _FLAGS}))
        match = _SIZE.fullmatch("".join(character for character in text if character not in _FLAGS).lower())
        if match is None or match["width"] is match["height"] is None:
            raise ValueError(
                f"geometry {text[:40]!r}: expected WxH, W or xH, with flags of {_FLAGS} and an offset +X+Y"
            )
        width, height = (None if match[side] is None else float(match[side]) for side in ("width", "height"))
        least = 0.0 if "%" in flags else 0.5  # less than half a pixel is none
        if any(side is not None and not (side and least <= side <= most) for side in (width, height)) and (
            "@" not in flags
        ):
            raise ValueError(f"geometry {text!r}: expected 1 to {most}")
        if "@" in flags and (width is None or height is not None or "%" in flags or width < 1):
            raise ValueError(f"geometry {text!r}: expected one number of pixels before @")
        x, y = (None if match[side] is None else int(match[side]) for side in ("x", "y"))
        return cls(width, height, x, y, flags, text)

    def resized_size(self, width: int, height: int) -> tuple[int, int]:
        """The dimensions after `-resize` of a width × height image, in pixels."""
        if "@" in self.flags:
            assert self.width is not None
            scale = math.sqrt(self.width / (width * height))
            across, down = max(1, int(width * scale)), max(1, int(height * scale))
            return self._only_shrinking(across, down, width, height)
        if "%" in self.flags:
            return self._percent(width, height)
        across, down = (_rounded(self.width or 0), _rounded(self.height or 0))
        if (across or width, down or height) == (width, height):
            return width, height
        if "!" in self.flags:
            across, down = across or width, down or height
        else:
            across, down = self._fitted(across, down, width, height)
        if "<" in self.flags:
            across, down = max(across, width), max(down, height)
        return self._only_shrinking(across, down, width, height)

    def box_size(self, width: int, height: int) -> tuple[int, int]:
        """The width and height of the box that is cut out of a width × height image, in pixels."""
        return self._percent(width, height) if "%" in self.flags else self._box_pixels(width, height)

    def _percent(self, width: int, height: int) -> tuple[int, int]:
        across = self.width if self.width is not None else self.height
        down = self.height if self.height is not None else self.width
        assert across is not None
        assert down is not None
        # ImageMagick then takes the result for the image's size, so that the other flags change nothing.
        return max(1, _rounded(width * across / 100)), max(1, _rounded(height * down / 100))

    def _box_pixels(self, width: int, height: int) -> tuple[int, int]:
        return _rounded(self.width or width), _rounded(self.height or height)

    def _fitted(self, across: int, down: int, width: int, height: int) -> tuple[int, int]:
        if "^" in self.flags:
            across, down = across or down, down or across
        scales = [wanted / there for wanted, there in ((across, width), (down, height)) if wanted]
        scale = max(scales) if "^" in self.flags else min(scales)
        return max(1, _rounded(scale * width)), max(1, _rounded(scale * height))

    def _only_shrinking(self, across: int, down: int, width: int, height: int) -> tuple[int, int]:
        if ">" in self.flags:
            return min(across, width), min(down, height)
        return across, down


def place_box(gravity: Gravity, image: tuple[int, int], box: tuple[int, int], offset: tuple[int, int]) -> Box:
    """Where gravity and the offset put a box of this size in an image of that size. Sizes and offset in pixels."""
    left = _place_side(gravity.value, ("west", "east"), image[0], box[0], offset[0])
    top = _place_side(gravity.value, ("north", "south"), image[1], box[1], offset[1])
    return Box(left, top, *box)


def rotate_box(box: Box, degrees: int, image: tuple[int, int]) -> Box:
    """Where a box lies after its image was rotated clockwise by 90, -90 or 180 degrees.

    `image` is the image's width and height before, in pixels.
    """
    right = image[0] - box.left - box.width
    bottom = image[1] - box.top - box.height
    return {
        90: Box(bottom, box.left, box.height, box.width),
        180: Box(right, bottom, box.width, box.height),
        -90: Box(box.top, right, box.height, box.width),
    }[degrees]


def _place_side(gravity: str, ends: tuple[str, str], image: int, box: int, offset: int) -> int:
    if ends[0] in gravity:
        return offset
    if ends[1] in gravity:
        return image - box - offset
    # ImageMagick halves both before it subtracts.
    return image // 2 - box // 2 + offset


def _rounded(value: float) -> int:
    return math.floor(value + 0.5)
