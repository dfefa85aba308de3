"""Sharing of decoded pixels between the variants of one original.

An original is decoded as seldom as possible. The sizes are made in falling order of `first_step_area`. The first size
decodes exactly as many pixels as it needs. Each further size is resampled from pixels that are in memory, if they are
wide and high enough, and decodes again if not. Nothing is made from an enlargement: a size that is larger than the
original is enlarged from the original's own pixels, and only a drawing is drawn larger.

Each resampling darkens the picture a little. So the share of brightness that is left is kept with the pixels, and
`restore_brightness` makes up for it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import pyvips

from common.images.formats import Format
from common.images.sizes import Resize, Size, Step
from resizer.operations.original import OriginalPart
from resizer.operations.pixels import fit, kept_brightness, restore_brightness

# The most pixels that a drawing larger than its own size is drawn with, in all (128 MB) and a side.
_DRAWN = 32_000_000
_DRAWN_A_SIDE = 32_000

# The most pixels of a picture that is computed into memory at once: the placeholder may be made from it, too.
_SMALL = 512 * 512
_PREVIEW = 64  # the least pixels of the longer side that the placeholder is made from


@dataclass(frozen=True)
class DecodedImage:
    """Pixels in memory, and the share of the original's brightness that they have kept: 0 to 1."""

    image: pyvips.Image
    brightness: float


class SharedPixels:
    """The pixels decoded so far. `decode` gives the part at width × height pixels."""

    def __init__(self, part: OriginalPart, decode: Callable[[int, int], DecodedImage]) -> None:
        self.part = part
        self._decode = decode
        self._decoded: list[DecodedImage] = []
        self._preview: pyvips.Image | None = None

    @property
    def preview(self) -> pyvips.Image:
        """The smallest undistorted picture of the whole part in memory that is at least `_PREVIEW` pixels long."""
        if self._preview is not None:
            return self._preview
        if not self._decoded:
            self._decoded_at_least(self.part.width, self.part.height)
        return self._decoded[0].image

    def apply_first_step(self, steps: tuple[Step, ...]) -> tuple[pyvips.Image, tuple[Step, ...]]:
        """The image after the first step if that is a resize, else the whole image; and the steps that are left."""
        part = self.part
        if not steps or not isinstance(steps[0], Resize):
            return self._resized(part.width, part.height), steps
        width, height = steps[0].geometry.resized_size(part.width, part.height)
        return self._resized(width, height), steps[1:]

    def _resized(self, width: int, height: int) -> pyvips.Image:
        decoded = self._decoded_for(width, height)
        kept = decoded.brightness * kept_brightness(decoded.image, width, height)
        image = restore_brightness(fit(decoded.image, width, height), kept)
        if width * height > _SMALL:
            return image
        image = image.copy_memory()
        smallest = math.inf if self._preview is None else self._preview.width
        if max(width, height) >= _PREVIEW and width < smallest and self._in_proportion(width, height):
            self._preview = image
        return image

    def _in_proportion(self, width: int, height: int) -> bool:
        part = self.part
        if width > part.width:
            return False
        return abs(width * part.height - height * part.width) <= max(part.width, part.height)

    def _decoded_for(self, width: int, height: int) -> DecodedImage:
        """What a picture of width × height pixels is made from: never an enlargement, unless it is a drawing."""
        part = self.part
        larger = width > part.width or height > part.height
        if larger and part.header.format is Format.SVG and _drawable(width, height):
            return self._decode(width, height)
        return self._decoded_at_least(min(width, part.width), min(height, part.height))

    def _decoded_at_least(self, width: int, height: int) -> DecodedImage:
        for decoded in self._decoded:
            if decoded.image.width >= width and decoded.image.height >= height:
                return decoded
        decoded = self._decode(width, height)
        self._decoded.append(decoded)
        return decoded


def _drawable(width: int, height: int) -> bool:
    return width * height <= _DRAWN and max(width, height) <= _DRAWN_A_SIDE


def first_step_area(size: Size, part: OriginalPart) -> int:
    """How many of the part's pixels the size's first step leaves: sizes are made in falling order of this number."""
    if size.steps and isinstance(size.steps[0], Resize):
        across, down = size.steps[0].geometry.resized_size(part.width, part.height)
        return min(across, part.width) * min(down, part.height)
    return part.width * part.height
