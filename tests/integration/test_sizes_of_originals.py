"""Originals below, at, between and above every configured size: each variant is made from the original's own pixels.

What has the original's dimensions has its pixels, and everything else is what ImageMagick makes of them. The pictures
are cells of one colour each, which every format can hold exactly, an SVG, too.
"""

from functools import cache
from itertools import product

import pytest
import pyvips
from tests.support.pictures import opened
from tests.support.variants import (
    DEFAULTS,
    Configuration,
    by_imagemagick,
    difference,
    files,
    frames,
    made,
    sizes,
)
from tests.support.written import gif

from common.images.formats import Format
from common.images.sizes import Crop, Resize, Size

DIMENSIONS = [
    *((1, 1), (3, 7), (10, 10), (64, 9), (199, 150), (200, 200), (201, 201), (200, 133)),
    *((300, 300), (399, 300), (400, 400), (401, 120), (402, 401), (900, 110)),
    *((1499, 60), (1500, 101), (1501, 102), (1600, 103)),
]
SMALL = [(1, 1), (3, 7), (10, 10), (64, 9), (199, 150), (200, 200), (300, 300), (402, 401)]
CROPPED = [(7, 9), (64, 20), (299, 150), (300, 300)]
CROP = "70%x60%+2+1"

# Whatever can be larger than an original, and what is not beside it.
ENLARGING: Configuration = {
    "ALL": [],
    "UP": ["-resize", "150%"],
    "FIT": ["-resize", "430x430"],
    "COVER": ["-resize", "420x420^", "-gravity", "center", "-extent", "420x420"],
    "WIDE": ["-resize", "500x90!"],
    "GROW": ["-resize", "300x300<"],
    "LESS": ["-resize", "60x60>"],
    "HALF": ["-resize", "50%"],
    "CUT": ["-gravity", "center", "-crop", "50%x50%+0+0", "+repage", "-resize", "220x220"],
}
CELLS = 6


def colour(column: int, row: int, *, alpha: bool, shift: int = 0) -> tuple[int, int, int, int]:
    """The cell's; every third one is transparent where there is transparency."""
    if alpha and (column + row + shift) % 3 == 0:
        return 0, 0, 0, 0
    return 40 + 35 * column, 215 - 30 * row, (90 + 60 * (column + 2 * row) + 25 * shift) % 200, 255


@cache
def drawing(width: int, height: int, *, alpha: bool, shift: int = 0) -> pyvips.Image:
    """The cells' picture, with transparency or without."""
    lines = [
        b"".join(bytes(colour(x * CELLS // width, row, alpha=alpha, shift=shift)) for x in range(width))
        for row in range(CELLS)
    ]
    data = b"".join(lines[y * CELLS // height] for y in range(height))
    image = pyvips.Image.new_from_memory(data, width, height, 4, "uchar").copy(interpretation="srgb")
    return image if alpha else image.extract_band(0, n=3)


def as_svg(width: int, height: int, *, alpha: bool) -> bytes:
    """The same as a drawing, whose cells begin and end where pixels do."""
    shapes = []
    for row, column in product(range(CELLS), repeat=2):
        left, right = (-(-width * at // CELLS) for at in (column, column + 1))
        top, bottom = (-(-height * at // CELLS) for at in (row, row + 1))
        *rgb, visible = colour(column, row, alpha=alpha)
        if visible:
            box = f'x="{left}" y="{top}" width="{right - left}" height="{bottom - top}"'
            shapes.append(f'<rect {box} fill="rgb{tuple(rgb)}" shape-rendering="crispEdges"/>')
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">{"".join(shapes)}</svg>'.encode()


def as_gif(pictures: list[pyvips.Image]) -> bytes:
    """A GIF of these frames, each with a palette of its own."""
    width, height = pictures[0].width, pictures[0].height
    drawn = []
    for picture in pictures:
        data = bytes((picture if picture.hasalpha() else picture.bandjoin(255)).write_to_memory())
        pixels = [data[at : at + 4] for at in range(0, len(data), 4)]
        number = {found: index for index, found in enumerate(sorted(set(pixels)))}
        transparent = next((index for found, index in number.items() if not found[3]), None)
        palette = tuple((red, green, blue) for red, green, blue, _ in number)
        indices = bytes(number[pixel] for pixel in pixels)
        drawn.append(gif.Frame(0, 0, width, height, indices, palette, transparent, gif.BACKGROUND))
    return gif.write(width, height, None, drawn, loop=0 if len(drawn) > 1 else None)


@cache
def encoded(kind: str, width: int, height: int, *, alpha: bool) -> tuple[bytes, Format]:
    """An original of this kind, and the format of its variants."""
    picture = drawing(width, height, alpha=alpha)
    if kind == "jpg":
        return picture.jpegsave_buffer(Q=100, subsample_mode="off"), Format.JPG
    if kind == "png":
        return picture.pngsave_buffer(), Format.PNG
    if kind == "gif":
        return as_gif([picture]), Format.GIF
    return as_svg(width, height, alpha=alpha), Format.PNG


def kernels(configuration: Configuration, width: int, height: int, larger: str) -> Configuration:
    """With the kernels that libvips has: Lanczos', or for what is larger along any side, Catmull and Rom's.

    By itself ImageMagick takes Mitchell's for the latter and for all with transparency, and then differs by its blur.
    """
    named = {}
    for size in sizes(configuration):
        across, down = _first(size, width, height)
        # What is cut out of a drawing first has pixels by then.
        kernel = "Catrom" if size.suffix == "CUT" else larger if across > width or down > height else "Lanczos"
        named[size.suffix] = ["-filter", kernel, *configuration[size.suffix]]
    return named


def _first(size: Size, width: int, height: int) -> tuple[int, int]:
    """The dimensions after its resize."""
    step = size.steps[0] if size.steps else None
    return step.geometry.resized_size(width, height) if isinstance(step, Resize) else (width, height)


@cache
def expected(
    width: int, height: int, larger: str, *, alpha: bool, enlarging: bool, cropped: bool, shift: int = 0
) -> dict[str, pyvips.Image]:
    """What ImageMagick makes of the picture."""
    picture = _seen(width, height, alpha=alpha, cropped=cropped, shift=shift)
    configuration = ENLARGING if enlarging else DEFAULTS
    return by_imagemagick(picture, kernels(configuration, picture.width, picture.height, larger))


def _seen(width: int, height: int, *, alpha: bool, cropped: bool, shift: int = 0) -> pyvips.Image:
    picture = drawing(width, height, alpha=alpha, shift=shift)
    return picture.crop(*Crop.parse(CROP).box(width, height)) if cropped else picture


def as_written(picture: pyvips.Image, written: Format) -> pyvips.Image:
    """What the format makes of the pixels: JPEG encodes them, GIF has no half transparency."""
    if written is Format.JPG:
        return opened(picture.jpegsave_buffer(Q=90, subsample_mode="on"))
    if written is Format.GIF and picture.hasalpha():
        picture = picture.colourspace("srgb")
        return picture.extract_band(0, n=3).bandjoin((picture[3] > 127).ifthenelse(255, 0))
    return picture


def limit(kind: str, width: int, height: int, *, alpha: bool) -> float:
    """How many levels the mean may differ. A shift by half a pixel makes 8 to 30 in pictures of a few pixels.

    GIF dithers; a few pixels with transparency overshoot, which ImageMagick cuts off between the two directions; and
    where a cell of a drawing of a few pixels ends is rounded.
    """
    if min(width, height) > 100:
        return 2.5
    return {"svg": 32, "gif": 16 if alpha else 3.5}.get(kind, 7 if alpha else 2.5)


KINDS = [("jpg", False), ("png", False), ("png", True), ("gif", False), ("gif", True), ("svg", True)]


@pytest.mark.parametrize(("kind", "alpha"), KINDS)
@pytest.mark.parametrize(
    ("dimensions", "enlarging", "cropped"),
    [(DIMENSIONS, False, False), (SMALL, True, False), (CROPPED, True, True)],
    ids=["default", "enlarging", "cropped"],
)
def test_variants_are_those_of_imagemagick(
    kind: str, dimensions: list[tuple[int, int]], *, alpha: bool, enlarging: bool, cropped: bool
) -> None:
    wrong = []
    for width, height in dimensions:
        data, written = encoded(kind, width, height, alpha=alpha)
        found = made(data, written, ENLARGING if enlarging else DEFAULTS, CROP if cropped else None)
        # A drawing has no pixels: what is larger stays sharp.
        larger = "Point" if kind == "svg" else "Catrom"
        truth = expected(width, height, larger, alpha=alpha, enlarging=enlarging, cropped=cropped)
        own = _seen(width, height, alpha=alpha, cropped=cropped)
        for suffix, picture in found.items():
            largest, mean = difference(picture, as_written(truth[suffix], written))
            untouched = _same(truth[suffix], own)
            if mean > limit(kind, own.width, own.height, alpha=alpha) or (untouched and largest > 11 * (kind == "jpg")):
                wrong.append((width, height, suffix, largest, mean))
    assert wrong == []


def _same(one: pyvips.Image, other: pyvips.Image) -> bool:
    return (one.width, one.height) == (other.width, other.height) and difference(one, other) == (0, 0)


@pytest.mark.parametrize(("kind", "alpha"), KINDS)
def test_what_is_enlarged_changes_no_other_variant(kind: str, *, alpha: bool) -> None:
    """Byte by byte, and what is enlarged is the same alone and beside others: nothing else was made from it."""
    for width, height in ((10, 10), (150, 199), (300, 300)):
        data, written = encoded(kind, width, height, alpha=alpha)
        everything = files(data, written, ENLARGING)
        small = {suffix: ENLARGING[suffix] for suffix in ("ALL", "LESS", "HALF")}
        assert {suffix: everything[suffix] for suffix in small} == files(data, written, small)
        for suffix in ("UP", "FIT", "COVER"):
            assert files(data, written, {suffix: ENLARGING[suffix]}) == {suffix: everything[suffix]}


@pytest.mark.parametrize("cropped", [False, True], ids=["whole", "cropped"])
@pytest.mark.parametrize("alpha", [False, True], ids=["opaque", "transparent"])
@pytest.mark.parametrize(("width", "height"), [(10, 10), (199, 150), (300, 200)])
def test_every_frame_of_an_animation(width: int, height: int, *, alpha: bool, cropped: bool) -> None:
    shifts = range(3)
    data = as_gif([drawing(width, height, alpha=alpha, shift=shift) for shift in shifts])
    for configuration, enlarging in ((DEFAULTS, False), (ENLARGING, True)):
        found = made(data, Format.GIF, configuration, CROP if cropped else None)
        for shift in shifts:
            own = _seen(width, height, alpha=alpha, cropped=cropped, shift=shift)
            options = {"alpha": alpha, "enlarging": enlarging, "cropped": cropped, "shift": shift}
            for suffix, truth in expected(width, height, "Catrom", **options).items():
                picture = frames(found[suffix])[shift]
                largest, mean = difference(picture, as_written(truth, Format.GIF))
                assert mean <= limit("gif", own.width, own.height, alpha=alpha), (suffix, shift)
                assert largest == 0 or not _same(truth, own), (suffix, shift)
