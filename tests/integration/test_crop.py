"""Cropped versions show what ImageMagick would cut out of the upright image."""

from pathlib import Path

import pytest
from tests.support.imagemagick import convert
from tests.support.pictures import SVG, animated_gif, opened, photo, transparent_png

from common.images.formats import Format, Output
from common.images.geometry import Box, rotate_box
from common.images.sizes import Crop, parse_sizes
from common.sandbox.protocol import Limits
from resizer.operations.render import RenderJob, render

SIZES = parse_sizes('[{"suffix": "X", "convert": ["-resize", "300x300>", "-quality", "95"]}]')


@pytest.mark.parametrize("crop", ["300x200+50+40", "50%x50%+100+60", "5000x5000+400+300", "64x64+0+0"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_cropped_as_it_is_shown(crop: str, orientation: int, tmp_path: Path) -> None:
    _compare(photo(640, 480, orientation), "jpg", crop, tmp_path)


def test_a_large_photo_of_which_much_is_left(tmp_path: Path) -> None:
    """The decoder may already shrink it."""
    _compare(photo(4800, 3600, 6), "jpg", "2400x3200+800+1200", tmp_path)


@pytest.mark.parametrize(("data", "ending"), [(transparent_png(), "png"), (SVG, "svg")])
def test_other_formats(data: bytes, ending: str, tmp_path: Path) -> None:
    path = tmp_path / "original"
    path.write_bytes(data)
    output = Output(format=Format.PNG)
    crop = Crop.parse("200x100+220+140")
    _, (made,) = render(RenderJob(limits=Limits(), sizes=SIZES, outputs=(output,), crop=crop), data)
    everything = parse_sizes('[{"suffix": "ALL", "convert": []}]')
    _, (whole,) = render(RenderJob(limits=Limits(), sizes=everything, outputs=(output,)), data)
    assert (opened(made).width, opened(made).height) == (200, 100), ending
    expected = opened(whole).crop(220, 140, 200, 100)
    assert (opened(made).cast("short") - expected.cast("short")).abs().avg() < 1


def test_every_frame_of_an_animation(tmp_path: Path) -> None:
    path = tmp_path / "original"
    path.write_bytes(animated_gif())
    job = RenderJob(
        limits=Limits(),
        sizes=SIZES,
        outputs=(Output(format=Format.GIF),),
        crop=Crop.parse("100x50+10+10"),
    )
    _, (made,) = render(job, path.read_bytes())
    assert (opened(made).width, opened(made).get("page-height"), opened(made).get("n-pages")) == (100, 50, 4)


def _compare(data: bytes, ending: str, crop: str, folder: Path) -> None:
    path, expected = folder / "original", folder / "expected.png"
    path.write_bytes(data)
    convert(
        f"{ending}:{path}",
        "-auto-orient",
        "+repage",
        "-crop",
        crop,
        "+repage",
        "-resize",
        "300x300>",
        f"png:{expected}",
    )
    job = RenderJob(limits=Limits(), sizes=SIZES, outputs=(Output(format=Format.JPG),), crop=Crop.parse(crop))
    result, (made,) = render(job, path.read_bytes())
    found, wanted = opened(made), opened(expected.read_bytes())
    assert (found.width, found.height) == (wanted.width, wanted.height)
    assert (found.cast("short") - wanted.extract_band(0, n=3).cast("short")).abs().avg() < 4
    assert {result.width, result.height} == {opened(data).width, opened(data).height}, "the original stays whole"


@pytest.mark.parametrize(
    ("degrees", "expected"), [(90, Box(30, 10, 7, 5)), (180, Box(85, 30, 5, 7)), (-90, Box(13, 85, 7, 5))]
)
def test_a_crop_turns_with_its_image(degrees: int, expected: Box) -> None:
    assert rotate_box(Box(10, 13, 5, 7), degrees, (100, 50)) == expected
