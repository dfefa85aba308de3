"""`RESIZING_CONFIG`: the sizes that every image has.

The setting is JSON: a list of `{"suffix": "BI", "convert": [...]}`, where `convert` holds ImageMagick arguments. It is
parsed once, at start. An argument that is not understood stops the start, with a message that names it.
"""

import json
import re
from dataclasses import dataclass, field, replace
from typing import Self, TypeVar

from common.errors import FailureClass, ImageError
from common.images.geometry import LONGEST_SIDE, Box, Geometry, Gravity, place_box

DEFAULT = (
    ("BI", ["-resize", "1500x1500>", "-quality", "90"]),
    ("MI", ["-resize", "400x400>", "-quality", "90"]),
    ("SI", ["-resize", "200x200^", "-gravity", "center", "-extent", "200x200", "-quality", "90"]),
)

_SUFFIX = re.compile(r"[A-Za-z_-][A-Za-z0-9_-]{0,15}")
_OPTIONS = ("-resize", "-thumbnail", "-crop", "-extent", "-gravity", "-background", "-quality", "-interlace")
_COLOUR = re.compile(r"#(?P<hex>[0-9a-f]{6})")
_COLOURS = {"white": (255, 255, 255, 255), "black": (0, 0, 0, 255), "none": (0, 0, 0, 0), "transparent": (0, 0, 0, 0)}
_INTERLACED = {"none": False, "line": True, "plane": True, "jpeg": True, "png": True, "gif": True}

_PERCENT_OFFSET = re.compile(r"[+-][^%]*%")

Colour = tuple[int, int, int, int]  # red, green, blue and alpha, 0 to 255

T = TypeVar("T")


@dataclass(frozen=True)
class Resize:
    """`-resize` and `-thumbnail`."""

    geometry: Geometry


@dataclass(frozen=True)
class Crop:
    """`-crop` with an offset: keep the part of the box that lies within the image."""

    geometry: Geometry
    gravity: Gravity = Gravity.NORTH_WEST

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a crop. Raises ValueError that says what was expected."""
        geometry = Geometry.parse(text, LONGEST_SIDE)
        if geometry.x is None or geometry.y is None or set(geometry.flags) - {"%"}:
            raise ValueError(f"crop {text!r}: expected WxH+X+Y, in pixels or with % for width and height")
        return cls(geometry=geometry)

    @classmethod
    def requested(cls, text: str) -> Self:
        """Parse a crop of a new request. Raises ValueError as `parse` does, and for offsets in percent.

        For ImageMagick, `%` stands for width and height wherever it is written, and the offset is in pixels all the
        same. Crops that are stored already may have this form.
        """
        if _PERCENT_OFFSET.search(text):
            raise ValueError(f"crop {text[:40]!r}: offsets are in pixels; expected % behind width and height alone")
        return cls.parse(text)

    def box(self, width: int, height: int) -> Box:
        """The part of a width × height image that is kept, in pixels. Raises ImageError when that is nothing."""
        offset = self.geometry.x or 0, self.geometry.y or 0
        box = place_box(self.gravity, (width, height), self.geometry.box_size(width, height), offset)
        left, top = max(box.left, 0), max(box.top, 0)
        right, bottom = min(box.left + box.width, width), min(box.top + box.height, height)
        if right <= left or bottom <= top:
            raise ImageError(FailureClass.UNSUPPORTED, f"a crop lies outside of its {width} × {height} pixels")
        return Box(left, top, right - left, bottom - top)


@dataclass(frozen=True)
class Extent:
    """`-extent`: cut off the image, or pad it with the background, to exactly this size."""

    geometry: Geometry
    gravity: Gravity
    background: Colour

    def box(self, width: int, height: int) -> Box:
        """The part of a width × height image that is shown, in pixels. It may reach outside of the image."""
        offset = self.geometry.x or 0, self.geometry.y or 0
        return place_box(self.gravity, (width, height), self.geometry.box_size(width, height), offset)


Step = Resize | Crop | Extent


@dataclass(frozen=True)
class Size:
    """One size: its suffix, its steps, and how it is encoded: with a quality of 1 to 100."""

    suffix: str
    steps: tuple[Step, ...]
    quality: int = 90
    interlaced: bool = False

    def dimensions(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of a width × height image after the steps, as in ImageMagick. Raises ImageError."""
        for step in self.steps:
            if isinstance(step, Resize):
                width, height = step.geometry.resized_size(width, height)
            else:
                box = step.box(width, height)
                width, height = box.width, box.height
        return width, height

    def longest_side(self, width: int, height: int) -> int:
        """The longest side, in pixels, that a width × height image has after any of the steps. Raises ImageError."""
        after_each = (replace(self, steps=self.steps[:count]) for count in range(len(self.steps) + 1))
        return max(side for some in after_each for side in some.dimensions(width, height))


def parse_sizes(value: object) -> tuple[Size, ...]:
    """Parse the setting; None gives the default sizes. Raises ValueError that names what is not understood."""
    if value is None:
        return tuple(_size(suffix, arguments) for suffix, arguments in DEFAULT)
    if not isinstance(value, str):
        raise ValueError("expected JSON")  # noqa: TRY004 - pydantic reports ValueError alone
    try:
        entries = json.loads(value)
    except json.JSONDecodeError as error:
        raise ValueError(f"expected JSON, and character {error.pos + 1} is none of it") from error
    except RecursionError as error:
        raise ValueError('expected a list of {"suffix": …, "convert": […]}, found lists within lists') from error
    if not isinstance(entries, list) or not entries:
        raise ValueError('expected a list of {"suffix": …, "convert": […]}')
    sizes = tuple(_entry(entry) for entry in entries)
    suffixes = [size.suffix for size in sizes]
    if len(set(suffixes)) < len(suffixes):
        raise ValueError(f"expected a suffix of its own for each size, found {', '.join(suffixes)}")
    return sizes


def _entry(entry: object) -> Size:
    if not isinstance(entry, dict) or set(entry) != {"suffix", "convert"}:
        raise ValueError(f'expected {{"suffix": …, "convert": […]}}, found {entry!r}')
    suffix, arguments = entry["suffix"], entry["convert"]
    if not isinstance(suffix, str) or not _SUFFIX.fullmatch(suffix):
        raise ValueError(f"suffix {suffix!r}: expected letters, digits, - or _, not beginning with a digit")
    if not isinstance(arguments, list) or not all(isinstance(argument, str) for argument in arguments):
        raise ValueError(f"convert of {suffix}: expected a list of strings, found {arguments!r}")
    try:
        return _size(suffix, arguments)
    except ValueError as error:
        raise ValueError(f"convert of {suffix}: {error}") from error


@dataclass
class _Reading:
    """ImageMagick's settings after the arguments read so far, and the steps so far."""

    gravity: Gravity = Gravity.NORTH_WEST
    background: Colour = _COLOURS["white"]
    quality: int = 90
    interlaced: bool = False
    steps: list[Step] = field(default_factory=list)

    def take(self, option: str, value: str) -> None:
        """Apply one option. Raises ValueError."""
        if option in ("-resize", "-thumbnail"):
            self.steps.append(Resize(geometry=_without_offset(option, value)))
        elif option == "-crop":
            self.steps.append(replace(Crop.requested(value), gravity=self.gravity))
        elif option == "-extent":
            self.steps.append(Extent(geometry=_plain(value), gravity=self.gravity, background=self.background))
        elif option == "-gravity":
            self.gravity = Gravity(_one_of(option, value, {"centre": "center"} | {g.value: g.value for g in Gravity}))
        elif option == "-background":
            self.background = _colour(value)
        elif option == "-quality":
            if not value.isdecimal() or int(value) not in range(1, 101):
                raise ValueError(f"-quality {value!r}: expected 1 to 100")
            self.quality = int(value)
        elif option == "-interlace":
            self.interlaced = _one_of(option, value, _INTERLACED)
        else:
            raise ValueError(f"{option} is not understood: expected one of {', '.join(_OPTIONS)}")


# Options that change nothing: variants are always upright, without metadata and without a page offset.
_ALWAYS = frozenset({"-strip", "-auto-orient", "+repage"})


def _size(suffix: str, arguments: list[str]) -> Size:
    reading = _Reading()
    left = iter(arguments)
    for option in left:
        if option in _ALWAYS:
            continue
        value = next(left, None)
        if value is None:
            raise ValueError(f"expected a value after {option}")
        reading.take(option, value)
    return Size(suffix=suffix, steps=tuple(reading.steps), quality=reading.quality, interlaced=reading.interlaced)


def _without_offset(option: str, text: str) -> Geometry:
    geometry = Geometry.parse(text)
    if geometry.x is not None:
        raise ValueError(f"{option} {text!r}: expected no offset")
    return geometry


def _plain(text: str) -> Geometry:
    geometry = Geometry.parse(text)
    if geometry.flags:
        raise ValueError(f"-extent {text!r}: expected WxH, with an offset or without, and no flags")
    return geometry


def _one_of(option: str, value: str, known: dict[str, T]) -> T:
    if value.lower() not in known:
        raise ValueError(f"{option} {value!r}: expected {', '.join(known)}")
    return known[value.lower()]


def _colour(value: str) -> Colour:
    match = _COLOUR.fullmatch(value.lower())
    if match:
        red, green, blue = bytes.fromhex(match["hex"])
        return red, green, blue, 255
    return _one_of("-background", value, _COLOURS)
