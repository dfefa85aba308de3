"""Colours of a PNG that its chunks name otherwise than by an ICC profile, converted to sRGB.

https://www.w3.org/TR/png-3/, 12.1 and 13.13, says which chunk counts: cICP, then iCCP, then sRGB, then gAMA with cHRM.
Of cICP, sRGB and Display P3 are supported. With any other, HDR (PQ, HLG) included, the pixels stay as they are: HDR
needs tone mapping, and viewers do not agree on how to map.
"""

import struct
from dataclasses import dataclass
from functools import lru_cache

import pyvips

from common.imaging.png_chunks import colour_chunks
from common.sandbox.protocol import Original

_CICP_SRGB, _CICP_P3 = bytes((1, 13, 0, 1)), bytes((12, 13, 0, 1))  # code points of ITU-T H.273

_UNIT = 100_000  # gAMA and cHRM hold hundred-thousandths
_SRGB_GAMMA = 45_455
_GAMMAS = range(16, 625_000_001)  # that libpng accepts
# Within these, libpng takes two gammas, or two coordinates, for the same: 5 %, and 0.01.
_SAME_GAMMA, _SAME_COORDINATE = 0.05, 1000
# Chromaticities x and y of white, red, green and blue.
_SRGB = (31_270, 32_900, 64_000, 33_000, 30_000, 60_000, 15_000, 6_000)
_P3 = (31_270, 32_900, 68_000, 32_000, 26_500, 69_000, 15_000, 6_000)
# Light up to which sRGB's curve is a line, https://www.w3.org/TR/css-color-4/#color-conversion-code.
_STRAIGHT = 0.0031308
# From XYZ to cone responses, in which a white point is adapted: Bradford's matrix, ICC.1:2022, annex E.
_BRADFORD = [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]


@dataclass(frozen=True)
class PngColour:
    """How samples become light, instead of by the file's ICC profile.

    `exponent` is that of the curve from sample to light, None for sRGB's curve. `primaries` are cHRM's eight numbers,
    None for those of sRGB.
    """

    exponent: float | None = None
    primaries: tuple[int, ...] | None = None


def png_colour(data: Original) -> PngColour | None:
    """The colours by cICP or gAMA with cHRM; None where the ICC profile counts, or where they are sRGB anyway."""
    chunks = colour_chunks(data)
    if chunks.get(b"cICP") == _CICP_P3:
        return PngColour(primaries=_P3)
    if chunks.get(b"cICP") == _CICP_SRGB:
        return PngColour() if b"iCCP" in chunks else None
    if b"iCCP" in chunks or b"sRGB" in chunks or b"gAMA" not in chunks:
        return None
    gamma = int.from_bytes(chunks[b"gAMA"])
    if gamma not in _GAMMAS:
        return None
    exponent = None if abs(gamma / _SRGB_GAMMA - 1) <= _SAME_GAMMA else _UNIT / gamma
    primaries = struct.unpack(">8I", chunks[b"cHRM"]) if b"cHRM" in chunks else _SRGB
    same = all(abs(found - own) <= _SAME_COORDINATE for found, own in zip(primaries, _SRGB, strict=True))
    usable = not same and _to_srgb(primaries) is not None
    return PngColour(exponent, primaries if usable else None) if exponent or usable else None


def from_png_colour(image: pyvips.Image, colour: PngColour) -> pyvips.Image:
    """The image in sRGB or grey, without its ICC profile. It has 8 bits a channel where samples changed.

    Raises pyvips.Error.
    """
    if colour != PngColour():
        image = _converted(image, colour)
    image = image.copy()
    if image.get_typeof("icc-profile-data"):
        image.remove("icc-profile-data")
    return image


def _converted(image: pyvips.Image, colour: PngColour) -> pyvips.Image:
    deep, alpha = image.format == "ushort", image.hasalpha()
    count = image.bands - alpha
    samples, light = image.extract_band(0, n=count), _light(colour.exponent, deep=deep)
    if colour.primaries is None or count == 1:
        made = samples.maplut(_coded(light))
    else:
        made = _coded(samples.maplut(light).recomb(_to_srgb(colour.primaries)))
    if alpha:
        made = made.bandjoin((image[count] / (257 if deep else 1)).rint().cast("uchar"))
    return made.copy(interpretation="b-w" if count == 1 else "srgb")


def _light(exponent: float | None, *, deep: bool) -> pyvips.Image:
    """The light of each sample value, 0 to 1, as a lookup table."""
    sample = pyvips.Image.identity(ushort=deep) / (65_535 if deep else 255)
    if exponent is not None:
        return sample**exponent
    return (sample <= _STRAIGHT * 12.92).ifthenelse(sample / 12.92, ((sample + 0.055) / 1.055) ** 2.4)


def _coded(light: pyvips.Image) -> pyvips.Image:
    """Light of 0 to 1 in 8 bits by sRGB's curve, and clipped where sRGB cannot show it."""
    light = light.clamp(min=0, max=1)
    curve = (light <= _STRAIGHT).ifthenelse(light * 12.92, light ** (1 / 2.4) * 1.055 - 0.055)
    return (curve * 255).rint().cast("uchar")


@lru_cache(maxsize=16)
def _to_srgb(primaries: tuple[int, ...]) -> pyvips.Image | None:
    """The matrix from light of these primaries to light of sRGB's; None where they span no triangle of colours."""
    pairs = list(zip(primaries[::2], primaries[1::2], strict=True))
    if not all(y > 0 and x + y <= _UNIT for x, y in pairs):
        return None
    try:
        adapted = _adaptation(pairs[0]).matrixmultiply(_to_xyz(primaries))
        return _to_xyz(_SRGB).matrixinvert().matrixmultiply(adapted)
    except (pyvips.Error, ZeroDivisionError):
        return None  # the primaries lie on one line, or white gives no light


def _to_xyz(primaries: tuple[int, ...]) -> pyvips.Image:
    """The matrix from light to XYZ, in which white has Y = 1. http://www.brucelindbloom.com/Eqn_RGB_XYZ_Matrix.html."""
    white, *colours = zip(primaries[::2], primaries[1::2], strict=True)
    columns = [_xyz(*colour) for colour in colours]
    matrix = pyvips.Image.new_from_array([list(row) for row in zip(*columns, strict=True)])
    amounts = matrix.matrixinvert().matrixmultiply(_column(_xyz(*white)))
    return matrix.matrixmultiply(_diagonal([amounts(0, row)[0] for row in range(3)]))


def _adaptation(white: tuple[int, int]) -> pyvips.Image:
    """The matrix from XYZ under this white to XYZ under that of sRGB."""
    bradford = pyvips.Image.new_from_array(_BRADFORD)
    before, after = (bradford.matrixmultiply(_column(_xyz(*point))) for point in (white, _SRGB[:2]))
    scale = _diagonal([after(0, row)[0] / before(0, row)[0] for row in range(3)])
    return bradford.matrixinvert().matrixmultiply(scale.matrixmultiply(bradford))


def _xyz(x: int, y: int) -> list[float]:
    return [x / y, 1, (_UNIT - x - y) / y]


def _column(values: list[float]) -> pyvips.Image:
    return pyvips.Image.new_from_array([[value] for value in values])


def _diagonal(values: list[float]) -> pyvips.Image:
    return pyvips.Image.new_from_array([[value if a == b else 0 for a in range(3)] for b, value in enumerate(values)])
