"""From pixels to a file's bytes, without any metadata."""

import pyvips

from common.images.names import Format
from common.images.plan import Output
from common.images.sizes import Size

Encoded = tuple[int, int, bytes]  # width and height in pixels, and the file


# The most pixels a side that the encoders can hold: JPEG and WebP by definition, AVIF by libheif's default limit.
MOST_A_SIDE = {Format.JPG: 65_535, Format.WEBP: 16_383, Format.AVIF: 16_384}


def encode(image: pyvips.Image, output: Output, size: Size) -> bytes:
    """The encoded image. Raises pyvips.Error for one that is too large for the format."""
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
    else:
        # The default effort takes six times as long for a few percent.
        data = image.gifsave_buffer(effort=1, interlace=size.interlaced, keep="none")
    return bytes(data)
