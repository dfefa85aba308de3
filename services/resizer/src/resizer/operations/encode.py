"""Encoding: from pixels to the bytes of a file without metadata."""

from typing import NamedTuple

import pyvips

from common.errors import Defect
from common.images.formats import Format, Output
from common.images.sizes import Size
from resizer.operations.timing import Period


class Encoded(NamedTuple):
    """A file, its width and height in pixels, and when it was made."""

    width: int
    height: int
    data: bytes
    period: Period


# The most pixels a side that the encoders can hold: JPEG and WebP by definition, AVIF by libheif's default limit.
MOST_A_SIDE = {Format.JPG: 65_535, Format.WEBP: 16_383, Format.AVIF: 16_384}


def gif_options(*, exact: bool) -> dict[str, object]:
    """The options of the GIF encoder. `exact`: up to 255 colours a frame, transparency included, stay as they are."""
    if exact:
        # With less effort every colour is moved by a level; with more error than none, a frame takes another's palette.
        return {"effort": 4, "dither": 0, "interpalette_maxerror": 0}
    # The default effort takes six times as long for a few percent.
    return {"effort": 1}


def encode(image: pyvips.Image, output: Output, size: Size, *, exact: bool = False) -> bytes:
    """The encoded image. Raises pyvips.Error for an image that is too large for the format, Defect for an unknown one.

    `exact`: the pixels are the original's own, and GIF keeps their colours where it can.
    """
    if output.format is Format.JPG:
        # 4:2:0 at every quality, as ImageMagick does; libvips by itself stops at 90.
        data = image.jpegsave_buffer(Q=size.quality, interlace=size.interlaced, subsample_mode="on", keep="none")
    elif output.format is Format.PNG:
        # Smaller and faster than the default of 6 without a filter.
        data = image.pngsave_buffer(compression=3, filter="sub", interlace=size.interlaced, keep="none")
    elif output.format is Format.WEBP:
        data = image.webpsave_buffer(Q=output.quality, effort=output.effort, keep="none")
    elif output.format is Format.AVIF:
        data = image.heifsave_buffer(
            Q=output.quality, effort=output.effort, compression="av1", subsample_mode="on", keep="none"
        )
    elif output.format is Format.GIF:
        data = image.gifsave_buffer(**gif_options(exact=exact), interlace=size.interlaced, keep="none")
    else:
        raise Defect(f"nothing encodes {output.format}")
    return bytes(data)
