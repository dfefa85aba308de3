"""RESIZING_CONFIG means what it means to ImageMagick: held against the program itself."""

import random
from pathlib import Path

import pytest
import pyvips
from tests.support.exploration import seeds
from tests.support.imagemagick import convert, resized
from tests.support.pictures import opened, photo, transparent_png
from tests.unit.test_sizes import setting

from common.images.formats import Format, Output
from common.images.geometry import Geometry
from common.images.sizes import parse_sizes
from common.sandbox.protocol import Limits
from resizer.operations.render import RenderJob, render

GEOMETRIES = [
    *("300x200", "300", "x200", "300x200>", "300x200<", "300x200^", "300x200!", "300x200^>", "300x200^<"),
    *("300x200!>", "300!", "x200!", "300x>", "x200>", "300^", "x200^", "300x200^!", "300x200><"),
    *("50%", "33.3%", "50%x120%", "50%!", "20%>", "150%>", "150%<", "10000@", "10000@>", "10000@<", "99999@"),
]


@pytest.mark.explores
def test_dimensions_for_every_flag_and_many_sizes() -> None:
    chances = [random.Random(seed) for seed in seeds(40, 2000)]
    sizes = [(chance.randint(1, 900), chance.randint(1, 900)) for chance in chances]
    sizes += [(300, 200), (1, 1), (600, 400), (301, 200), (300, 20)]
    differences = []
    for width, height in sizes:
        # ImageMagick refuses what would be very large, and what would be nothing: a few percent of a few pixels.
        most, percent = 5000, "%" if min(width, height) < 5 else "none"
        tried = [
            text
            for text in GEOMETRIES
            if percent not in text and max(Geometry.parse(text).resized_size(width, height)) < most
        ]
        for text, expected in resized(width, height, tried).items():
            found = Geometry.parse(text).resized_size(width, height)
            if found != expected:
                differences.append((width, height, text, expected, found))
    assert differences == []


ARGUMENTS = [
    ["-resize", "200x200^", "-gravity", "center", "-extent", "200x200"],
    ["-resize", "300x300>", "-gravity", "northeast", "-extent", "150x333"],
    ["-thumbnail", "33%", "-gravity", "south", "-background", "#204060", "-extent", "301x151+7-5"],
    ["-crop", "200x100+30+40", "+repage", "-resize", "90x90"],
    ["-gravity", "center", "-crop", "50%x25%+3+0", "+repage", "-resize", "120x"],
    ["-gravity", "east", "-crop", "900x90+10+5", "+repage"],
    ["-resize", "100x100!", "-resize", "50x80^", "-extent", "60x60"],
    ["-extent", "700x300"],
    ["-resize", "1200x100!", "-gravity", "center", "-extent", "200x160"],
    ["-resize", "300x60!", "-gravity", "center", "-extent", "60x40"],
]


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=" ".join)
@pytest.mark.parametrize("size", [(641, 427), (320, 480)], ids=str)
def test_pictures_are_those_of_imagemagick(arguments: list[str], size: tuple[int, int], tmp_path: Path) -> None:
    original = tmp_path / "original"
    original.write_bytes(photo(*size))
    convert(f"jpg:{original}", *arguments, f"png:{tmp_path / 'expected'}")
    expected = opened((tmp_path / "expected").read_bytes())
    (plan,) = parse_sizes(setting(*arguments, "-quality", "100"))
    job = RenderJob(limits=Limits(), sizes=(plan,), outputs=(Output(format=Format.JPG),))
    rendered, (data,) = render(job, original.read_bytes())
    found = opened(data)
    assert (found.width, found.height) == (expected.width, expected.height)
    assert (rendered.variants[0].width, rendered.variants[0].height) == (found.width, found.height)
    assert plan.dimensions(*size) == (found.width, found.height)
    # A shift by one pixel would make a difference of 8 and more in these pictures.
    assert mean_difference(found, expected) < 4


@pytest.mark.parametrize("resize", ["150x150", "200x200^", "850x180!"])
@pytest.mark.parametrize("background", ["white", "none"])
def test_extent_and_transparency_as_imagemagick_has_them(background: str, resize: str, tmp_path: Path) -> None:
    original = tmp_path / "original"
    original.write_bytes(transparent_png())
    arguments = ["-resize", resize, "-gravity", "center", "-background", background, "-extent", "200x180"]
    convert(f"png:{original}", *arguments, f"png:{tmp_path / 'expected'}")
    expected = opened((tmp_path / "expected").read_bytes())
    (plan,) = parse_sizes(setting(*arguments))
    _, (data,) = render(
        RenderJob(limits=Limits(), sizes=(plan,), outputs=(Output(format=Format.PNG),)), original.read_bytes()
    )
    found = opened(data)
    for x, y in ((2, 2), (2, 100), (100, 90), (100, 5)):
        assert _visible(found, x, y) == pytest.approx(_visible(expected, x, y), abs=12)


def _visible(image: pyvips.Image, x: int, y: int) -> list[float]:
    """The pixel on magenta, so that what shines through is seen."""
    flat = image.flatten(background=[255, 0, 255]) if image.hasalpha() else image
    return list(flat.colourspace("srgb").getpoint(x, y))


def mean_difference(one: pyvips.Image, other: pyvips.Image) -> float:
    difference: float = (one.colourspace("srgb")[0:3] - other.colourspace("srgb")[0:3]).abs().avg()
    return difference


@pytest.mark.parametrize(
    "size", [(20_000, 10), (8000, 2), (1, 5000), (1, 16_000), (5, 489), (20_000, 1000), (1, 1)], ids=str
)
def test_extreme_ratios(size: tuple[int, int], tmp_path: Path) -> None:
    original = tmp_path / "original"
    original.write_bytes(photo(*size))
    job = RenderJob(limits=Limits(), sizes=parse_sizes(None), outputs=(Output(format=Format.JPG),))
    rendered, blobs = render(job, original.read_bytes())
    made = [(variant.width, variant.height) for variant in rendered.variants]
    assert made == [plan.dimensions(*size) for plan in parse_sizes(None)]
    assert [(opened(blob).width, opened(blob).height) for blob in blobs] == made
    middle = opened(photo(*size)).crop(size[0] // 2, size[1] // 2, 1, 1)
    assert mean_difference(opened(blobs[2]).crop(100, 100, 1, 1), middle) < 60
