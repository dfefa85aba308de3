"""The original as its loader gives it: already reduced where the decoder can do that, and cut to the wanted box."""

from dataclasses import dataclass

import pyvips

from common.images.formats import Format
from common.images.geometry import Box, rotate_box
from common.imaging.exif_orientations import TURNS
from common.imaging.probe import Header, load
from common.sandbox.protocol import Original

# How much of the reduction is left to the resampler after the decoder's own. With less than this the thumbnails fall
# behind ImageMagick's: at 2.0 by .001 of SSIM, at 1.33 by 1 dB, measured on photos.
_LEFT_TO_RESAMPLER = 2.5
_JPEG_SHRINKS = (8, 4, 2)


@dataclass(frozen=True)
class OriginalPart:
    """What is rendered of an original: its bytes, its header, and a box in pixels of the upright image.

    `opaque`: all outputs are formats without transparency, so the image is put on white.
    """

    data: Original
    header: Header
    box: Box
    opaque: bool

    @property
    def width(self) -> int:
        """The width of the box, in pixels."""
        return self.box.width

    @property
    def height(self) -> int:
        """The height of the box, in pixels."""
        return self.box.height

    @property
    def is_whole(self) -> bool:
        """Whether the box is the whole upright image."""
        return self.box == Box(0, 0, self.header.upright_width, self.header.upright_height)


def open_reduced(part: OriginalPart, across: int, down: int, *, strict: bool) -> pyvips.Image:
    """The whole image as it is stored, opened lazily. Raises pyvips.Error.

    A JPEG is opened at 1/2, 1/4 or 1/8 where that leaves the resampler enough for across × down pixels. An SVG is drawn
    at the scale at which the box has them. `strict`: damage is an error.
    """
    header, box = part.header, _stored_box(part)
    fail_on = "warning" if strict else "none"
    if header.format is Format.SVG:
        scale = max(across / box.width, down / box.height)
        return load(part.data, header.format, scale=scale, fail_on=fail_on)
    if header.format is Format.JPG:
        shrink = _shrink(header, box, across, down)
        return load(part.data, header.format, access="sequential", shrink=shrink, fail_on=fail_on)
    return load(part.data, header.format, access="sequential", fail_on=fail_on)


def crop_to_box(opened: pyvips.Image, part: OriginalPart) -> pyvips.Image:
    """The part's box out of the opened image, which may be smaller or larger than the header says."""
    header, box = part.header, _stored_box(part)
    if (box.width, box.height) == (header.width, header.height):
        return opened
    across, down = opened.width / header.width, opened.height / header.height
    left, top = min(opened.width - 1, round(box.left * across)), min(opened.height - 1, round(box.top * down))
    width, height = max(1, round(box.width * across)), max(1, round(box.height * down))
    return opened.crop(left, top, min(width, opened.width - left), min(height, opened.height - top))


def _shrink(header: Header, box: Box, across: int, down: int) -> int:
    for shrink in _JPEG_SHRINKS:
        # A side that the shrink does not divide is rounded up by the decoder, which shifts the whole picture.
        if header.width % shrink or header.height % shrink:
            continue
        if box.width / shrink >= across * _LEFT_TO_RESAMPLER and box.height / shrink >= down * _LEFT_TO_RESAMPLER:
            return shrink
    return 1


def _stored_box(part: OriginalPart) -> Box:
    """The part's box in the coordinates of the image as it is stored, in pixels."""
    header, box = part.header, part.box
    turn = TURNS[header.orientation]
    if turn.degrees:
        back = {90: -90, 180: 180, 270: 90}[turn.degrees]
        box = rotate_box(box, back, (header.upright_width, header.upright_height))
    return box._replace(left=header.width - box.left - box.width) if turn.mirrored else box
