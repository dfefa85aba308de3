"""The original, decoded once for all variants that can be made from the same pixels."""

import math
from dataclasses import dataclass

import pyvips

from common.images.geometry import Box, rotate_box
from common.images.names import Format
from common.images.plan import Output
from common.images.sizes import Resize, Size, Step
from common.imaging.orientation import TURNS
from common.imaging.probe import Header, load
from common.sandbox.protocol import Original
from resizer.operations.gif import without_metadata
from resizer.operations.pixels import (
    brightness,
    changes_nothing,
    fit,
    flatten,
    restore_brightness,
    to_srgb,
    turn_upright,
)

# How much of the reduction is left to the resampler after the decoder's own. With less than this the thumbnails fall
# behind ImageMagick's: at 2.0 by .001 of SSIM, at 1.33 by 1 dB, measured on photos.
_LEFT_TO_RESAMPLER = 2.5
_JPEG_SHRINKS = (8, 4, 2)

# Pixels that a drawing is drawn with at most, in all and a side, to be larger than it is: 128 MB.
_DRAWN = 32_000_000
_DRAWN_A_SIDE = 32_000

# Pixels that a picture has at most that is made in memory at once, because the placeholder may be made from it, too.
_SMALL = 512 * 512
_PREVIEW = 64  # pixels of the longer side that the placeholder needs at least


@dataclass(frozen=True)
class Source:
    """What is rendered of the original: its bytes and header, and the box that counts, in pixels of the upright image.

    `opaque`: put it on white.
    """

    data: Original
    header: Header
    box: Box
    opaque: bool

    @property
    def width(self) -> int:
        """The box's, in pixels."""
        return self.box.width

    @property
    def height(self) -> int:
        """The box's, in pixels."""
        return self.box.height

    def decode(self, width: int, height: int, *, strict: bool) -> tuple[pyvips.Image, float]:
        """All of it in memory: upright, in sRGB or grey, 8 bits, at width × height pixels.

        And which share of its brightness it kept. Raises pyvips.Error.
        """
        across, down = (height, width) if self.header.sideways else (width, height)
        opened = self._cut(self._open(across, down, strict=strict))
        image = to_srgb(fit(opened, across, down))
        if self.opaque:
            image = flatten(image)
        return turn_upright(image.copy_memory(), self.header.orientation), brightness(opened, across, down)

    def _cut(self, opened: pyvips.Image) -> pyvips.Image:
        """The box out of the image as its loader gave it."""
        found = self.header
        left, top, width, height = stored_box(self.box, found)
        if (width, height) == (found.width, found.height):
            return opened
        across, down = opened.width / found.width, opened.height / found.height
        left, top = min(opened.width - 1, round(left * across)), min(opened.height - 1, round(top * down))
        width, height = max(1, round(width * across)), max(1, round(height * down))
        return opened.crop(left, top, min(width, opened.width - left), min(height, opened.height - top))

    def _open(self, across: int, down: int, *, strict: bool) -> pyvips.Image:
        """As its loader gives it, already as small as still leaves the resampler enough."""
        found = self.header
        box = stored_box(self.box, found)
        fail_on = "warning" if strict else "none"
        if found.format is Format.SVG:
            scale = max(across / box.width, down / box.height)
            return load(self.data, found.format, scale=scale, fail_on=fail_on)
        if found.format is Format.JPG:
            shrink = self._shrink(box.width, box.height, across, down)
            return load(self.data, found.format, access="sequential", shrink=shrink, fail_on=fail_on)
        return load(self.data, found.format, access="sequential", fail_on=fail_on)

    def _shrink(self, width: int, height: int, across: int, down: int) -> int:
        found = self.header
        for shrink in _JPEG_SHRINKS:
            # A side that the shrink does not divide is rounded up by the decoder, which shifts all of it.
            if found.width % shrink or found.height % shrink:
                continue
            enough = across * _LEFT_TO_RESAMPLER, down * _LEFT_TO_RESAMPLER
            if width / shrink >= enough[0] and height / shrink >= enough[1]:
                return shrink
        return 1


def stored_box(box: Box, found: Header) -> Box:
    """The upright image's box in the coordinates of the image as it is stored, in pixels."""
    turn = TURNS[found.orientation]
    if turn.degrees:
        upright = found.upright_width, found.upright_height
        back = {90: -90, 180: 180, 270: 90}[turn.degrees]
        box = rotate_box(box, back, upright)
    return box._replace(left=found.width - box.left - box.width) if turn.mirrored else box


@dataclass(frozen=True)
class _Decoded:
    """Pixels in memory, and which share of the original's brightness they have kept."""

    image: pyvips.Image
    share: float


class DecodedPixels:
    """What has been decoded so far, for variants to be made from. It is never larger than the original."""

    def __init__(self, original: Source, *, strict: bool) -> None:
        self.original = original
        self._strict = strict
        self._decoded: list[_Decoded] = []
        self._preview: pyvips.Image | None = None

    @property
    def preview(self) -> pyvips.Image:
        """The smallest picture of all of the image that there is in memory, and that is no smaller than `_PREVIEW`."""
        if self._preview is not None:
            return self._preview
        if not self._decoded:
            self._at_least(self.original.width, self.original.height)
        return self._decoded[0].image

    def same_file(self, size: Size, output: Output) -> bytes | None:
        """The original's own file without its metadata, where the variant is the same GIF; its steps have begun."""
        found, whole = self.original.header, Box(0, 0, self.original.header.width, self.original.header.height)
        if not found.format is output.format is Format.GIF or not self._strict or self.original.box != whole:
            return None
        if not changes_nothing(size.steps, found.width, found.height, alpha=self.preview.hasalpha()):
            return None
        return without_metadata(self.original.data[:], found.width, found.height)

    def start(self, steps: tuple[Step, ...]) -> tuple[pyvips.Image, tuple[Step, ...]]:
        """The image after a first resize, from what is in memory where that is enough, and the steps that are left."""
        original = self.original
        if not steps or not isinstance(steps[0], Resize):
            return self._resized(original.width, original.height), steps
        width, height = steps[0].geometry.resized(original.width, original.height)
        return self._resized(width, height), steps[1:]

    def _resized(self, width: int, height: int) -> pyvips.Image:
        source = self._source(width, height)
        share = source.share * brightness(source.image, width, height)
        image = restore_brightness(fit(source.image, width, height), share)
        if width * height > _SMALL:
            return image
        image = image.copy_memory()
        smallest = math.inf if self._preview is None else self._preview.width
        if max(width, height) >= _PREVIEW and width < smallest and self._in_proportion(width, height):
            self._preview = image
        return image

    def _in_proportion(self, width: int, height: int) -> bool:
        original = self.original
        if width > original.width:
            return False
        return abs(width * original.height - height * original.width) <= max(original.width, original.height)

    def _source(self, width: int, height: int) -> _Decoded:
        """What a picture of width × height pixels is made from: what is asked to be enlarged, from the original."""
        original = self.original
        larger = width > original.width or height > original.height
        if larger and original.header.format is Format.SVG and _drawable(width, height):
            return _Decoded(*original.decode(width, height, strict=self._strict))
        return self._at_least(min(width, original.width), min(height, original.height))

    def _at_least(self, width: int, height: int) -> _Decoded:
        for decoded in self._decoded:
            if decoded.image.width >= width and decoded.image.height >= height:
                return decoded
        decoded = _Decoded(*self.original.decode(width, height, strict=self._strict))
        self._decoded.append(decoded)
        return decoded


def _drawable(width: int, height: int) -> bool:
    return width * height <= _DRAWN and max(width, height) <= _DRAWN_A_SIDE
