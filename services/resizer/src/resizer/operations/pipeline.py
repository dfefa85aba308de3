"""The imaging steps of a still picture, in their order.

    open (reduced) → crop → fit → sRGB → flatten → upright → steps of the size → encode
    └──────────────────── decode ────────────────────────┘   └──── make_variants ────┘

`decode` is done once for as many sizes as possible: `shared_pixels.py` says how sizes share its pixels. An animation is
not decoded in this way: its frames go through the crop, the size's steps and the encoder alone (`animate.py`).
"""

from collections.abc import Mapping
from functools import partial

import pyvips

from common.images.formats import Format, Output
from common.images.sizes import Size
from resizer.operations.encode import Encoded, encode
from resizer.operations.gif import without_metadata
from resizer.operations.original import OriginalPart, crop_to_box, open_reduced
from resizer.operations.pixels import (
    apply_steps,
    changes_nothing,
    fit,
    flatten,
    kept_brightness,
    resamples,
    to_srgb,
    turn_upright,
)
from resizer.operations.png_colour import from_png_colour, png_colour
from resizer.operations.shared_pixels import DecodedImage, SharedPixels, first_step_area
from resizer.operations.timing import Period, Timing


def decode(part: OriginalPart, width: int, height: int, *, strict: bool) -> DecodedImage:
    """The part's box at width × height pixels, in memory: upright, in sRGB or grey, 8 bits. Raises pyvips.Error."""
    # Until it is turned, the image lies as it is stored.
    across, down = (height, width) if part.header.is_sideways else (width, height)
    opened = open_reduced(part, across, down, strict=strict)
    cropped = crop_to_box(opened, part)
    image = fit(cropped, across, down)
    if part.header.format is Format.PNG and (colour := png_colour(part.data)):
        image = from_png_colour(image, colour)
    image = to_srgb(image)
    if part.opaque:
        image = flatten(image)
    image = turn_upright(image.copy_memory(), part.header.orientation)
    return DecodedImage(image, kept_brightness(cropped, across, down))


def make_variants(
    part: OriginalPart, sizes: tuple[Size, ...], outputs: Mapping[str, list[Output]], timing: Timing, *, strict: bool
) -> tuple[pyvips.Image, dict[str, list[Encoded]]]:
    """Pixels for the placeholder; and by suffix, each size in its outputs. Raises pyvips.Error, ImageError."""

    def timed_decode(width: int, height: int) -> DecodedImage:
        decoded, period = timing.timed(lambda: decode(part, width, height, strict=strict))
        timing.decodings.append(period)
        return decoded

    pixels = SharedPixels(part, timed_decode)
    made: dict[str, list[Encoded]] = {}
    for size in sorted(sizes, key=partial(first_step_area, part=part), reverse=True):
        image, steps = pixels.apply_first_step(size.steps)
        begin = timing.now()
        image = apply_steps(image, steps)
        if len(outputs[size.suffix]) > 1:
            image = image.copy_memory()
        exact = not resamples(size.steps, part.width, part.height)
        made[size.suffix] = []
        for output in outputs[size.suffix]:
            data = _unchanged_gif(pixels, size, output, strict=strict) or encode(image, output, size, exact=exact)
            made[size.suffix].append(Encoded(image.width, image.height, data, Period(begin, timing.now())))
            begin = timing.now()
    return pixels.preview, made


def _unchanged_gif(pixels: SharedPixels, size: Size, output: Output, *, strict: bool) -> bytes | None:
    """The original's own file without its metadata, where the variant is the same GIF as the original."""
    part = pixels.part
    if not part.header.format is output.format is Format.GIF or not strict or not part.is_whole:
        return None
    if not changes_nothing(size.steps, part.width, part.height, alpha=pixels.preview.hasalpha()):
        return None
    return without_metadata(part.data[:], part.width, part.height)
