"""The formats of images, and how variants are written in them."""

from dataclasses import dataclass
from enum import StrEnum


class Format(StrEnum):
    """The formats of images, spelt as their file extensions."""

    JPG = "jpg"
    PNG = "png"
    GIF = "gif"
    SVG = "svg"
    WEBP = "webp"
    AVIF = "avif"


# The formats that uploads may have.
ORIGINALS = (Format.JPG, Format.PNG, Format.GIF, Format.SVG)

# The formats that variants may be made in besides.
MODERN_FORMATS = (Format.WEBP, Format.AVIF)


@dataclass(frozen=True)
class Output:
    """A format that variants are written in, with its quality (1 to 100) and effort (0 to 9).

    Without a quality, each size's own is used.
    """

    format: Format
    quality: int | None = None
    effort: int = 0
