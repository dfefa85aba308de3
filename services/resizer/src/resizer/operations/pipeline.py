"""The imaging steps of a still picture, in their order.

    open (reduced) → crop → fit → sRGB → flatten → upright → steps of the size → encode
    └──────────────────── decode ────────────────────────┘   └──── make_variants ────┘

`decode` is done once for as many sizes as possible: `decoded.py` says how sizes share its pixels. An animation is not
decoded in this way: its frames go through the crop, the size's steps and the encoder alone (`animate.py`).
"""

from collections.abc import Mapping
from functools import partial

import pyvips

from common.images.names import Format
from common.images.plan import Output
from common.images.sizes import Size
from resizer.operations.decoded import Decoded, DecodedPixels, first_step_area
from resizer.operations.encode import Encoded, encode
from resizer.operations.gif import without_metadata
from resizer.operations.original import Source, crop_to_box, open_reduced
from resizer.operations.pixels import apply, brightness, changes_nothing, fit, flatten, resamples, to_srgb, turn_upright
from resizer.operations.png_colour import from_png_colour, png_colour


def decode(source: Source, width: int, height: int, *, strict: bool) -> Decoded:
    """The source's box at width × height pixels, in memory: upright, in sRGB or grey, 8 bits. Raises pyvips.Error."""
    # Until it is turned, the image lies as it is stored.
    across, down = (height, width) if source.header.sideways else (width, height)
    opened = open_reduced(source, across, down, strict=strict)
    cropped = crop_to_box(opened, source)
    image = fit(cropped, across, down)
    if source.header.format is Format.PNG and (colour := png_colour(source.data)):
        image = from_png_colour(image, colour)
    image = to_srgb(image)
    if source.opaque:
        image = flatten(image)
    image = turn_upright(image.copy_memory(), source.header.orientation)
    return Decoded(image, brightness(cropped, across, down))


def make_variants(
    source: Source, sizes: tuple[Size, ...], outputs: Mapping[str, list[Output]], *, strict: bool
) -> tuple[pyvips.Image, dict[str, list[Encoded]]]:
    """Pixels for the placeholder; and by suffix, each size in its outputs. Raises pyvips.Error, ImageError."""
    pixels = DecodedPixels(source, partial(decode, source, strict=strict))
    made = {}
    for size in sorted(sizes, key=partial(first_step_area, source=source), reverse=True):
        image, steps = pixels.start(size.steps)
        image = apply(image, steps)
        if len(outputs[size.suffix]) > 1:
            image = image.copy_memory()
        exact = not resamples(size.steps, source.width, source.height)
        made[size.suffix] = [
            (
                image.width,
                image.height,
                _unchanged_gif(pixels, size, output, strict=strict) or encode(image, output, size, exact=exact),
            )
            for output in outputs[size.suffix]
        ]
    return pixels.preview, made


def _unchanged_gif(pixels: DecodedPixels, size: Size, output: Output, *, strict: bool) -> bytes | None:
    """The original's own file without its metadata, where the variant is the same GIF as the original."""
    source = pixels.source
    if not source.header.format is output.format is Format.GIF or not strict or not source.is_whole:
        return None
    if not changes_nothing(size.steps, source.width, source.height, alpha=pixels.preview.hasalpha()):
        return None
    return without_metadata(source.data[:], source.width, source.height)
