"""Every kind of PNG, written here sample by sample, so that what its variants have to show is known."""

import struct
from functools import cache, reduce
from operator import and_
from typing import Any

import pytest
import pyvips
from tests.support.pairs import all_pairs
from tests.support.variants import Configuration, by_imagemagick, difference, made
from tests.support.written import png, profiles
from tests.support.written.png_colours import CICP, CICP_P3, COLOURS, GAMMA, LINEAR, SRGB

from common.images.formats import Format

# BI has the original's own pixels, and so has the middle that SI cuts out of 300 × 200. SI of a small one is enlarged.
CONFIGURATION: Configuration = {
    "BI": ["-resize", "1500x1500>"],
    "SI": ["-resize", "200x200^", "-gravity", "center", "-extent", "200x200"],
    "LESS": ["-resize", "60%"],
}
SMALL, LARGE = (37, 29), (300, 200)
DEPTHS = {png.GREY: (1, 2, 4, 8, 16), png.PALETTE: (1, 2, 4, 8)}
CHOICES = {
    "colour_type": (png.GREY, png.RGB, png.PALETTE, png.GREY_ALPHA, png.RGB_ALPHA),
    "depth": (1, 2, 4, 8, 16),
    "interlaced": (False, True),
    "transparent": (False, True),  # a chunk tRNS
    "profile": ("none", "grey", "srgb", "p3", "cmyk"),
    "chunks": tuple(COLOURS),
}
EXPONENTS = {"linear": 1, "mac": 100_000 / 55_556, "mac p3": 100_000 / 55_556}


def allowed(found: dict[str, Any]) -> bool:
    colour_type = found["colour_type"]
    if found["depth"] not in DEPTHS.get(colour_type, (8, 16)):
        return False
    if found["transparent"] and colour_type in (png.GREY_ALPHA, png.RGB_ALPHA):
        return False
    # A file has sRGB or a profile.
    return found["profile"] == "none" or SRGB not in COLOURS[found["chunks"]]


COMBINATIONS = all_pairs(CHOICES, allowed)


@cache
def samples(colour_type: int, depth: int, size: tuple[int, int]) -> pyvips.Image:
    """Slopes of each channel, in the values that the depth has; of a palette, the number of each of its colours."""
    place = pyvips.Image.xyz(*size)
    across, down = place[0] / (size[0] - 1), place[1] / (size[1] - 1)
    if colour_type == png.PALETTE:
        cell = (across * 7.99).floor() + (down * 7.99).floor() * 8
        return (cell % min(2**depth, 60)).cast("uchar")
    channels = {
        png.GREY: [across * 0.6 + down * 0.4],
        png.RGB: [across, down, (across + down) / 2],
        png.GREY_ALPHA: [across * 0.6 + down * 0.4, down],
        png.RGB_ALPHA: [across, down * 0.8, (across + down) / 2, 1 - across],
    }[colour_type]
    joined = channels[0].bandjoin(channels[1:]) if len(channels) > 1 else channels[0]
    return (joined * (2**depth - 1)).rint().cast("ushort" if depth == 16 else "uchar")


def palette(depth: int) -> list[tuple[int, int, int]]:
    return [(index * 53 % 256, index * 29 % 256, 255 - index * 4) for index in range(min(2**depth, 60))]


@cache
def shown(colour_type: int, depth: int, size: tuple[int, int], *, transparent: bool) -> pyvips.Image:
    """What the samples mean, in 8 bits a channel."""
    values = samples(colour_type, depth, size)
    if colour_type == png.PALETTE:
        colours = [(*colour, 255) for colour in palette(depth)]
        if transparent:
            colours[:2] = [(*colours[0][:3], 0), (*colours[1][:3], 100)]
        table = pyvips.Image.new_from_memory(b"".join(map(bytes, colours)), len(colours), 1, 4, "uchar")
        image = values.maplut(table).copy(interpretation="srgb")
        return image if transparent else image.extract_band(0, n=3)
    eight = (values * (255 / (2**depth - 1))).rint().cast("uchar")
    if transparent:
        same = reduce(and_, [values[band] == key for band, key in enumerate(keyed(values))])
        eight = eight.bandjoin(same.ifthenelse(0, 255))
    return eight.copy(interpretation="srgb" if colour_type in (png.RGB, png.RGB_ALPHA) else "b-w")


def keyed(values: pyvips.Image) -> list[int]:
    """The colour that tRNS makes transparent: that of a pixel in the upper left part."""
    return [int(value) for value in values.getpoint(values.width // 4, values.height // 4)]


def original(
    colour_type: int,
    depth: int,
    size: tuple[int, int],
    *,
    interlaced: bool,
    transparent: bool,
    profile: str,
    chunks: str,
) -> bytes:
    before: list[png.Chunk] = [] if profile == "none" else [png.profile_chunk(profile_named(profile))]
    before += COLOURS[chunks]
    values = samples(colour_type, depth, size)
    if colour_type == png.PALETTE:
        before.append((b"PLTE", b"".join(map(bytes, palette(depth)))))
    if transparent:
        key = bytes((0, 100)) if colour_type == png.PALETTE else struct.pack(f">{values.bands}H", *keyed(values))
        before.append((b"tRNS", key))
    return png.write(values, colour_type, depth, interlaced=interlaced, chunks=before)


def profile_named(name: str) -> bytes:
    return profiles.grey() if name == "grey" else profiles.known(name)


def meaning(colour_type: int, profile: str, chunks: str) -> str:
    """What counts, by https://www.w3.org/TR/png-3/#12Encoder-colour-space: cICP, a profile, sRGB, gAMA with cHRM.

    "srgb" also where what counts is for other channels than the image's: it is then shown as it is.
    """
    written, grey = COLOURS[chunks], colour_type in (png.GREY, png.GREY_ALPHA)
    if CICP_P3 in written:
        return "srgb" if grey else "p3"
    if CICP in written or SRGB in written:
        return "srgb"
    if profile != "none":
        return f"{profile} profile" if profile == ("grey" if grey else "p3") else "srgb"
    if chunks == "mac p3" and grey:
        return "mac"
    return chunks if chunks in EXPONENTS or (chunks == "p3" and not grey) else "srgb"


def in_srgb(image: pyvips.Image, values: pyvips.Image, what: str) -> pyvips.Image:
    """The colours in sRGB, by the `meaning`. `values` are the samples as fractions."""
    if what == "srgb":
        return image
    if what in EXPONENTS:
        linear = values ** EXPONENTS[what]
        made = profiles.p3_light(linear) if what == "mac p3" else profiles.light(linear)
    else:
        made = {"p3": profiles.from_p3, "p3 profile": profiles.by_p3_profile, "grey profile": profiles.from_grey}[what](
            values
        )
    made = made.copy(interpretation=image.interpretation)
    return made.bandjoin(image[image.bands - 1]) if image.hasalpha() else made


@cache
def truth(
    colour_type: int, depth: int, size: tuple[int, int], what: str, *, transparent: bool
) -> tuple[pyvips.Image, dict[str, pyvips.Image]]:
    """The original in sRGB, and its variants by ImageMagick."""
    image = shown(colour_type, depth, size, transparent=transparent)
    colours = image.bands - image.hasalpha()
    if colour_type == png.PALETTE:
        values = image.extract_band(0, n=colours) / 255
    else:
        values = samples(colour_type, depth, size).extract_band(0, n=colours) / (2**depth - 1)
    image = in_srgb(image, values, what).copy_memory()
    return image, by_imagemagick(image, CONFIGURATION)


def named(found: dict[str, Any]) -> str:
    return "-".join(f"{name}={value}" for name, value in found.items())


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("colour_type", CHOICES["colour_type"])
def test_every_variant_shows_what_was_written(colour_type: int, size: tuple[int, int]) -> None:
    wrong = []
    for found in [found for found in COMBINATIONS if found["colour_type"] == colour_type]:
        try:
            wrong += _differences(size, found)
        except pyvips.Error as error:
            wrong.append((named(found), str(error)))
    assert wrong == []


def _differences(size: tuple[int, int], found: dict[str, Any]) -> list[object]:
    variants = made(original(size=size, **found), Format.PNG, CONFIGURATION)
    colour_type, depth = found["colour_type"], found["depth"]
    what = meaning(colour_type, found["profile"], found["chunks"])
    own, expected = truth(colour_type, depth, size, what, transparent=found["transparent"])
    tell: list[object] = []
    for suffix, picture in variants.items():
        largest, mean = difference(picture, own if suffix == "BI" else expected[suffix])
        # Of another profile's colours, some are rounded otherwise, and dark ones that sRGB cannot show are far apart.
        exact = suffix == "BI" and what == "srgb"
        if (exact and largest > 0) or mean > (0.3 if suffix == "BI" else 2):
            tell.append((named(found), suffix, largest, mean))
    return tell


NONSENSE: dict[str, list[png.Chunk]] = {
    "no gamma": [(b"gAMA", bytes(4))],
    "a gamma of a wrong length": [(b"gAMA", LINEAR[1] + b"\0")],
    "code points of a wrong length": [(b"cICP", CICP_P3[1] + b"\0")],
    "primaries on one line": [
        GAMMA,
        (b"cHRM", struct.pack(">8I", 31_270, 32_900, *[1000, 1000, 2000, 2000, 3000, 3000])),
    ],
    "primaries that are no colours": [GAMMA, (b"cHRM", bytes(32))],
    "numbers beyond all measure": [GAMMA, (b"cHRM", b"\xff" * 32)],
    "a gamma behind more chunks than a file has": [(b"teSt", b"")] * 2000 + [LINEAR],
}


@pytest.mark.parametrize("chunks", NONSENSE.values(), ids=NONSENSE)
def test_what_makes_no_sense_counts_for_nothing(chunks: list[png.Chunk]) -> None:
    data = png.write(samples(png.RGB, 8, SMALL), png.RGB, 8, chunks=chunks)
    largest, _ = difference(made(data, Format.PNG, CONFIGURATION)["BI"], shown(png.RGB, 8, SMALL, transparent=False))
    assert largest == 0
