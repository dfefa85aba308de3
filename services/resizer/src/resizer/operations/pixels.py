"""The imaging steps, each from pixels to pixels. Their order is in `pipeline.py`."""

from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache

import pyvips

from common.images.geometry import Box
from common.images.sizes import Crop, Extent, Resize, Step
from common.imaging.exif_orientations import TURNS, UPRIGHT

_WHITE = 255
_LEVELS = 255
_LARGEST_REDUCTION = 64
_BRIGHT = 60_000  # of 65,535
_GREY = ("b-w", "grey16")
_DEEP = 65_535 / _LEVELS


def fit(image: pyvips.Image, width: int, height: int) -> pyvips.Image:
    """The image resampled to exactly width × height pixels. `kept_brightness` tells how much darker that makes it."""
    if (image.width, image.height) == (width, height):
        return image
    if not image.hasalpha():
        return _resampled(image, width, height)
    # Without premultiplication, the colour of invisible pixels would bleed into their neighbours.
    return _resampled(image.premultiply(), width, height).unpremultiply().rint().cast(image.format)


def kept_brightness(image: pyvips.Image, width: int, height: int) -> float:
    """The share of its brightness that the image keeps when `fit` makes it width × height pixels: 0 to 1.

    libvips resamples integers with weights that are cut off to 12 bits. Their sum is a little below one, which takes up
    to half a level where a side becomes four times smaller (measured with 8.18; floating point has no such loss).
    """
    if image.hasalpha():
        return 1.0
    return _kept(image.width, width) * _kept(image.height, height)


def restore_brightness(image: pyvips.Image, share: float) -> pyvips.Image:
    """The 8-bit image made as bright as it was before it kept only this share of its brightness."""
    if image.hasalpha() or _LEVELS / share < _LEVELS + 0.5:
        return image
    return image.maplut((pyvips.Image.identity() / share).rint().cast("uchar"))


def _resampled(image: pyvips.Image, width: int, height: int) -> pyvips.Image:
    across, down = min(width, image.width), min(height, image.height)
    if (across, down) != (image.width, image.height):
        image = image.resize(
            across / image.width,
            vscale=down / image.height,
            kernel="lanczos3",
            gap=_gap(max(image.width / across, image.height / down)),
        )
    return image if (across, down) == (width, height) else _enlarged(image, width, height)


def _enlarged(image: pyvips.Image, width: int, height: int) -> pyvips.Image:
    """Enlarge about pixel centres. libvips' resize aligns the first pixels instead, and is half a pixel off."""
    return image.affine(
        [width / image.width, 0, 0, height / image.height],
        interpolate=pyvips.Interpolate.new("bicubic"),
        oarea=[0, 0, width, height],
        idx=0.5,
        idy=0.5,
        odx=-0.5,
        ody=-0.5,
        extend="copy",
        premultiplied=True,
    )


@lru_cache(maxsize=256)
def _kept(before: int, after: int) -> float:
    if before <= after:
        return 1.0
    flat = (pyvips.Image.black(before, 1) + _BRIGHT).cast("ushort")
    kept: float = flat.resize(after / before, vscale=1, kernel="lanczos3", gap=_gap(before / after)).avg() / _BRIGHT
    return kept


def _gap(reduction: float) -> float:
    """No box filter before the resampler: it would soften, and save no time. The largest reductions need one."""
    return 0 if reduction < _LARGEST_REDUCTION else 2


def apply_steps(image: pyvips.Image, steps: Iterable[Step]) -> pyvips.Image:
    """The image after the size's steps. Raises ImageError for a crop outside of the image."""
    for step in steps:
        if isinstance(step, Resize):
            size = step.geometry.resized_size(image.width, image.height)
            image = restore_brightness(fit(image, *size), kept_brightness(image, *size))
        elif isinstance(step, Crop):
            image = image.crop(*step.box(image.width, image.height))
        else:
            image = _extended(image, step)
    return image


def resamples(steps: Iterable[Step], width: int, height: int) -> bool:
    """Whether the steps resample a width × height image. Cutting and padding alone do not."""
    for step in steps:
        before = width, height
        if isinstance(step, Resize):
            width, height = step.geometry.resized_size(width, height)
            if (width, height) != before:
                return True
        else:
            box = step.box(width, height)
            width, height = box.width, box.height
    return False


def changes_nothing(steps: Iterable[Step], width: int, height: int, *, alpha: bool) -> bool:
    """Whether the steps leave a width × height image as it is. `alpha`: it has an alpha channel."""
    for step in steps:
        if isinstance(step, Resize):
            if step.geometry.resized_size(width, height) != (width, height):
                return False
        elif step.box(width, height) != Box(0, 0, width, height) or (
            isinstance(step, Extent) and alpha and step.background[3]
        ):
            return False
    return True


def put_on_background(image: pyvips.Image, extent: Extent) -> pyvips.Image:
    """The image on the extent's background. As ImageMagick does, also where nothing is padded."""
    *colour, alpha = extent.background
    if alpha != _LEVELS or not image.hasalpha():
        return image
    return image.flatten(background=colour[: image.bands - 1])


def _extended(image: pyvips.Image, extent: Extent) -> pyvips.Image:
    box = extent.box(image.width, image.height)
    red, green, blue, alpha = extent.background
    image = put_on_background(image, extent)
    if box == Box(0, 0, image.width, image.height):
        return image
    right, bottom = box.left + box.width, box.top + box.height
    reaches_outside = box.left < 0 or box.top < 0 or right > image.width or bottom > image.height
    if reaches_outside and image.interpretation == "b-w" and not red == green == blue:
        image = image.colourspace("srgb")
    colour = [red, green, blue, alpha] if image.interpretation == "srgb" else [red, alpha]
    return image.embed(
        -box.left, -box.top, box.width, box.height, extend="background", background=colour[: image.bands]
    )


def to_srgb(image: pyvips.Image) -> pyvips.Image:
    """The image in sRGB or grey with 8 bits a channel, by its own colour profile where it has one."""
    profiled = image.get_typeof("icc-profile-data") != 0
    if image.interpretation == "cmyk":
        return image.icc_transform("srgb", embedded=profiled, input_profile="cmyk", depth=8)
    grey = image.interpretation in _GREY
    if profiled:
        # A profile may be broken, or for other channels: viewers then show the image without it.
        with suppress(pyvips.Error):
            image = _by_profile(image)
    return _eight_bits(image).colourspace("b-w" if grey else "srgb")


def _by_profile(image: pyvips.Image) -> pyvips.Image:
    # Without `depth`, 16 bits stay 16 bits.
    made = image.icc_transform("srgb", embedded=True, depth=8)
    if image.format != "ushort" or not image.hasalpha():
        return made
    return made.extract_band(0, n=made.bands - 1).bandjoin(_eight_bits(image.extract_band(image.bands - 1)))


def _eight_bits(image: pyvips.Image) -> pyvips.Image:
    """16 bits rounded to 8 (https://www.w3.org/TR/png-3/#13Sample-depth-rescaling); libvips by itself cuts them off."""
    if image.format != "ushort":
        return image
    interpretation = {"rgb16": "srgb", "grey16": "b-w"}.get(image.interpretation, image.interpretation)
    return (image / _DEEP).rint().cast("uchar").copy(interpretation=interpretation)


def flatten(image: pyvips.Image) -> pyvips.Image:
    """The image on white."""
    return image.flatten(background=_WHITE) if image.hasalpha() else image


def turn_upright(image: pyvips.Image, orientation: int) -> pyvips.Image:
    """The image upright, and without the tag that says how to turn it. The image must be in memory."""
    if orientation == UPRIGHT:
        return image
    turn = TURNS[orientation]
    if turn.mirrored:
        image = image.fliphor()
    image = image.rot(f"d{turn.degrees}") if turn.degrees else image.copy()
    image.remove("orientation")  # the AVIF encoder would have viewers turn the image once more
    return image
