"""Steps from pixels to pixels."""

import pyvips

_WHITE = 255
_GREY = ("b-w", "grey16")

# EXIF orientation to what makes the image upright: a mirror first, then a turn clockwise.
# https://www.cipa.jp/std/documents/e/DC-X008-Translation-2019-E.pdf, 4.6.4 A, tag 274.
_TURNS = {
    2: (True, None),
    3: (False, "d180"),
    4: (True, "d180"),
    5: (True, "d270"),
    6: (False, "d90"),
    7: (True, "d90"),
    8: (False, "d270"),
}


def fit(image: pyvips.Image, width: int, height: int) -> pyvips.Image:
    """The image resampled to exactly width × height pixels."""
    if (image.width, image.height) == (width, height):
        return image
    if not image.hasalpha():
        return image.resize(width / image.width, vscale=height / image.height)
    # Without premultiplication, the colour of invisible pixels would bleed into their neighbours.
    band_format = image.format
    resized = image.premultiply().resize(width / image.width, vscale=height / image.height)
    return resized.unpremultiply().cast(band_format)


def cut(image: pyvips.Image, extent: tuple[int, int] | None) -> pyvips.Image:
    """The middle of the image, or the image in the middle of white: exactly as large as `extent`."""
    if extent is None or (image.width, image.height) == extent:
        return image
    return image.gravity("centre", *extent, extend="background", background=[_WHITE] * image.bands)


def to_srgb(image: pyvips.Image) -> pyvips.Image:
    """The image in sRGB or grey with 8 bits a channel, by its own colour profile where it has one."""
    profiled = image.get_typeof("icc-profile-data") != 0
    if image.interpretation == "cmyk":
        return image.icc_transform("srgb", embedded=profiled, input_profile="cmyk")
    if profiled:
        try:
            return image.icc_transform("srgb", embedded=True)
        except pyvips.Error:
            pass  # a profile that is broken, or for other channels: what viewers do is to show the image without
    if image.interpretation in _GREY:
        return image.colourspace("b-w")
    return image.colourspace("srgb")


def flatten(image: pyvips.Image) -> pyvips.Image:
    """The image on white."""
    return image.flatten(background=_WHITE) if image.hasalpha() else image


def turn(image: pyvips.Image, orientation: int) -> pyvips.Image:
    """The image upright. It must be in memory."""
    if orientation not in _TURNS:
        return image
    mirrored, angle = _TURNS[orientation]
    if mirrored:
        image = image.fliphor()
    return image.rot(angle) if angle else image
