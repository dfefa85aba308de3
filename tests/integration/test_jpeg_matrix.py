"""Every kind of JPEG, written here block by block, so that what its variants have to show is known."""

from functools import cache
from typing import Any

import pytest
import pyvips
from tests.support.pairs import all_pairs
from tests.support.pictures import opened
from tests.support.variants import Configuration, by_imagemagick, difference, made
from tests.support.written import jpeg, profiles

from common.images.formats import Format

# BI has the original's own pixels; SI of a small one is enlarged.
CONFIGURATION: Configuration = {
    "BI": ["-resize", "1500x1500>", "-quality", "90"],
    "SI": ["-resize", "200x200^", "-gravity", "center", "-extent", "200x200", "-quality", "90"],
    "LESS": ["-resize", "25%", "-quality", "90"],
}
SMALL, LARGE = (45, 29), (300, 200)
CHOICES = {
    "colours": ("grey", "ycc", "rgb", "cmyk", "ycck"),
    "adobe": (False, True),
    "profile": ("none", "grey", "srgb", "p3", "cmyk"),
    "orientation": tuple(range(1, 9)),
    "progressive": (False, True),
    "sampling": (0x11, 0x21, 0x12, 0x22, 0x41),
}
COMPONENTS = {"grey": 1, "ycc": 3, "rgb": 3, "cmyk": 4, "ycck": 4}
TRANSFORM = {"ycc": 1, "rgb": 0, "cmyk": 0, "ycck": 2}


def allowed(found: dict[str, Any]) -> bool:
    """Nothing but Adobe's marker says YCCK, or belongs to grey; only chroma is sampled less."""
    colours = found["colours"]
    if found["adobe"] != (colours == "ycck") and colours in ("ycck", "grey"):
        return False
    return found["sampling"] == 0x11 or colours in ("ycc", "ycck")


COMBINATIONS = all_pairs(CHOICES, allowed)


def meant(column: int, row: int, columns: int, rows: int) -> tuple[int, int, int]:
    """The cell's red, green and blue."""
    return 30 + 190 * column // columns, 220 - 180 * row // rows, (60 + 37 * column + 53 * row) % 160 + 40


def inks(column: int, row: int, columns: int, rows: int) -> tuple[int, int, int, int]:
    """The cell's cyan, magenta, yellow and black, 0 for none."""
    red, green, blue = meant(column, row, columns, rows)
    return 255 - red, 255 - green, 255 - blue, (20 * column + 31 * row) % 90


def ycc(red: int, green: int, blue: int) -> tuple[int, int, int]:
    """https://www.w3.org/Graphics/JPEG/jfif3.pdf, in whole numbers."""
    light = 0.299 * red + 0.587 * green + 0.114 * blue
    return round(light), round(128 + (blue - light) / 1.772), round(128 + (red - light) / 1.402)


def sample(found: dict[str, Any], place: tuple[int, int, int, int]) -> tuple[int, ...]:
    """What is stored of the cell: how much ink is missing.

    Adobe does so, and ImageMagick and browsers read it so without its marker, too, against the standard.
    """
    colours = found["colours"]
    if colours == "grey":
        return ((meant(*place)[0] + meant(*place)[1]) // 2,)
    if colours in ("ycc", "rgb"):
        return ycc(*meant(*place)) if colours == "ycc" else meant(*place)
    cyan, magenta, yellow, black = inks(*place)
    if colours == "ycck":
        return (*ycc(cyan, magenta, yellow), 255 - black)
    return tuple(255 - ink for ink in (cyan, magenta, yellow, black))


def cell_size(sampling: int) -> tuple[int, int]:
    return 8 * (sampling >> 4), 8 * (sampling & 15)


def original(size: tuple[int, int], found: dict[str, Any]) -> bytes:
    """The file, whose pixels lie as its orientation says."""
    count, (across, down) = COMPONENTS[found["colours"]], cell_size(found["sampling"])
    columns, rows = -(-size[0] // across), -(-size[1] // down)
    cells = [[sample(found, (x, y, columns, rows)) for x in range(columns)] for y in range(rows)]
    segments = [] if found["adobe"] or found["colours"] in ("rgb", "cmyk") else [jpeg.jfif()]
    segments.append(jpeg.oriented(found["orientation"]))
    if found["adobe"]:
        segments.append(jpeg.adobe(TRANSFORM[found["colours"]]))
    if found["profile"] != "none":
        segments += jpeg.profiled(profiles.grey() if found["profile"] == "grey" else profiles.known(found["profile"]))
    # The chroma of YCC, not black, is sampled less.
    sampling = [found["sampling"], 0x11, 0x11, found["sampling"]][:count] if count > 1 else [0x11]
    names = b"RGB" if found["colours"] == "rgb" else b"\1\2\3\4"
    return jpeg.write(*size, cells, sampling, names=names, progressive=found["progressive"], segments=segments)


@cache
def shown(colours: str, size: tuple[int, int], sampling: int, profile: str) -> pyvips.Image:
    """What the cells mean, in sRGB, as stored: not turned."""
    across, down = cell_size(sampling)
    columns, rows = -(-size[0] // across), -(-size[1] // down)
    of = inks if colours in ("cmyk", "ycck") else meant
    cells = [[of(x, y, columns, rows) for x in range(columns)] for y in range(rows)]
    data = b"".join(b"".join(bytes(cells[y // down][x // across]) for x in range(size[0])) for y in range(size[1]))
    image = pyvips.Image.new_from_memory(data, *size, len(cells[0][0]), "uchar")
    if colours in ("cmyk", "ycck"):
        # Which red an ink is only a profile can say: that of the library, which it takes where there is none.
        return image.copy(interpretation="cmyk").icc_transform("srgb", input_profile="cmyk").copy_memory()
    if colours == "grey":
        grey = ((image[0].cast("int") + image[1]) / 2).floor().cast("uchar").copy(interpretation="b-w")
        return profiles.from_grey(grey / 255).copy(interpretation="b-w") if profile == "grey" else grey
    image = profiles.by_p3_profile(image / 255) if profile == "p3" else image
    return image.copy(interpretation="srgb").copy_memory()


@cache
def truth(
    colours: str, size: tuple[int, int], sampling: int, profile: str, orientation: int
) -> dict[str, pyvips.Image]:
    image = shown(colours, size, sampling, profile).copy()
    image.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    return by_imagemagick(image.autorot(), CONFIGURATION)


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("colours", CHOICES["colours"])
def test_every_variant_shows_what_was_written(colours: str, size: tuple[int, int]) -> None:
    wrong: list[object] = []
    for found in [found for found in COMBINATIONS if found["colours"] == colours]:
        for suffix, picture in made(original(size, found), Format.JPG, CONFIGURATION).items():
            expected = truth(colours, size, found["sampling"], found["profile"], found["orientation"])[suffix]
            largest, mean = difference(picture, opened(expected.jpegsave_buffer(Q=90, subsample_mode="on")))
            # The chroma of cells' edges is what remains; a wrong turn, inversion or profile makes 10 to 60.
            if mean > 2.5:
                wrong.append((found, suffix, largest, mean))
    assert wrong == []
