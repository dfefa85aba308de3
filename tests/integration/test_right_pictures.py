"""The traps of imaging, each closed: colours, depths, orientations, transparency, animation, metadata."""

import base64
from pathlib import Path
from typing import Any

import pytest
import pyvips
from tests.support.imagemagick import convert
from tests.support.pictures import DELAYS, animated_gif, opened, photo, still_gif
from tests.support.variants import rendered

from common.errors import FailureClass, ImageError
from common.images.formats import Format, Output
from common.images.sizes import parse_sizes
from common.sandbox.protocol import Limits
from resizer.operations.render import RenderJob, render

SIZES = parse_sizes(None)


def patches(interpretation: str = "srgb") -> pyvips.Image:
    """600 × 400 pixels: red, green and blue side by side."""
    colours = ([220, 30, 30], [30, 200, 30], [30, 30, 210])
    bars = [(pyvips.Image.black(200, 400) + colour).cast("uchar") for colour in colours]
    return bars[0].join(bars[1], "horizontal").join(bars[2], "horizontal").copy(interpretation=interpretation)


def colours(image: pyvips.Image) -> list[list[float]]:
    """The colours in the middle of the three bars."""
    return [image.getpoint(int(image.width * (bar + 0.5) / 3), image.height // 2)[:3] for bar in range(3)]


def close(found: Any, expected: Any, tolerance: float) -> bool:
    return all(
        abs(a - b) <= tolerance
        for one, other in zip(found, expected, strict=True)
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_upright(orientation: int) -> None:
    data = photo(600, 400, orientation)
    _, (big, _, _) = rendered(data, Format.JPG)
    upright = opened(data).autorot()
    assert (big.width, big.height) == (upright.width, upright.height)
    assert (big.cast("short") - upright.cast("short")).abs().avg() < 8
    assert big.get_typeof("orientation") == 0


@pytest.mark.parametrize("profile", ["p3", "srgb"])
def test_colours_of_another_profile_become_srgb(profile: str) -> None:
    wide = patches().icc_transform(profile, input_profile="srgb")
    data = wide.jpegsave_buffer(Q=98, subsample_mode="off", profile=profile)
    _, (big, medium, _) = rendered(data, Format.JPG)
    assert close(colours(big), colours(patches()), 10)
    assert close(colours(medium), colours(patches()), 10)
    assert big.get_typeof("icc-profile-data") == 0


def test_cmyk_becomes_srgb() -> None:
    data = patches().icc_transform("cmyk", input_profile="srgb").jpegsave_buffer(Q=98)
    assert opened(data).bands == 4
    _, (big, _, _) = rendered(data, Format.JPG)
    assert big.bands == 3
    found = colours(big)
    assert [colour.index(max(colour)) for colour in found] == [0, 1, 2], "red, green and blue"


def test_a_broken_profile_is_ignored() -> None:
    image = patches().copy()
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", b"this is no profile" * 20)
    _, (big, _, _) = rendered(image.jpegsave_buffer(Q=98, keep="icc"), Format.JPG)
    assert close(colours(big), colours(patches()), 10)


def test_16_bits_become_8() -> None:
    deep = (patches().cast("ushort") * 257).cast("ushort").copy(interpretation="rgb16")
    _, (big, _, _) = rendered(deep.pngsave_buffer(bitdepth=16), Format.PNG)
    assert big.format == "uchar"
    assert close(colours(big), colours(patches()), 1)
    grey = (pyvips.Image.black(300, 200) + 30_000).cast("ushort").copy(interpretation="grey16")
    _, (big, _, _) = rendered(grey.pngsave_buffer(bitdepth=16), Format.PNG)
    assert (big.bands, big.format) == (1, "uchar")
    assert abs(big.avg() - 30_000 / 257) < 2


def test_grey_stays_grey() -> None:
    grey = patches().colourspace("b-w")
    for data, output in ((grey.jpegsave_buffer(Q=98), Format.JPG), (grey.pngsave_buffer(), Format.PNG)):
        _, (big, medium, _) = rendered(data, output)
        assert (big.bands, medium.bands) == (1, 1)
        assert abs(medium.avg() - grey.avg()) < 2


def test_grey_with_alpha() -> None:
    image = patches().colourspace("b-w").bandjoin(128)
    _, (big, medium, _) = rendered(image.pngsave_buffer(), Format.PNG)
    assert (big.bands, medium.bands) == (2, 2)
    assert abs(medium[1].avg() - 128) < 1


def test_a_palette_with_transparency() -> None:
    mask = pyvips.Image.black(600, 400).draw_rect(255, 0, 0, 300, 400, fill=True)
    _, (_, medium, _) = rendered(patches().bandjoin(mask).pngsave_buffer(palette=True), Format.PNG)
    assert medium.getpoint(10, 10)[3] == 255
    assert medium.getpoint(390, 10)[3] == 0


def test_the_colour_of_invisible_pixels_does_not_bleed() -> None:
    # Invisible pure green beside visible red.
    mask = pyvips.Image.black(600, 400).draw_rect(255, 0, 0, 301, 400, fill=True)
    red = pyvips.Image.black(301, 400).linear([1, 1, 1], [220, 30, 30]).cast("uchar")
    green = pyvips.Image.black(299, 400).linear([1, 1, 1], [0, 255, 0]).cast("uchar")
    image = red.join(green, "horizontal").copy(interpretation="srgb").bandjoin(mask)
    _, (_, medium, _) = rendered(image.pngsave_buffer(), Format.PNG)
    row = [medium.getpoint(x, 100) for x in range(medium.width)]
    assert all(pixel[1] <= 60 for pixel in row if pixel[3] > 20)


def test_transparency_on_white_where_the_target_has_none() -> None:
    image = patches().bandjoin(0)
    _, (big, _, _) = rendered(image.pngsave_buffer(), Format.JPG)
    assert big.min() > 250


@pytest.mark.parametrize("interlaced", [True, False])
def test_progressive_and_interlaced_originals(interlaced: bool) -> None:  # noqa: FBT001
    for data, output in (
        (patches().jpegsave_buffer(Q=98, interlace=interlaced), Format.JPG),
        (patches().pngsave_buffer(interlace=interlaced), Format.PNG),
    ):
        _, (_, medium, _) = rendered(data, output)
        assert close(colours(medium), colours(patches()), 10)


def test_thumbnails_carry_no_metadata(tmp_path: Path) -> None:
    image = opened(photo(600, 400)).copy()
    image.set_type(
        pyvips.GValue.gstr_type, "exif-ifd3-GPSLatitude", "45/1 50/1 0/1 (45, 50, 0, Rational, 3 components)"
    )
    image.set_type(pyvips.GValue.blob_type, "xmp-data", b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>GPS</x:xmpmeta>")
    for data, output in (
        (image.jpegsave_buffer(keep="all"), Format.JPG),
        (image.pngsave_buffer(keep="all"), Format.PNG),
    ):
        assert opened(data).get("xmp-data")
        path = tmp_path / "original"
        path.write_bytes(data)
        _, blobs = render(RenderJob(limits=Limits(), sizes=SIZES, outputs=(Output(format=output),)), data)
        for blob in blobs:
            assert not any(word in blob for word in (b"Exif", b"eXIf", b"xmpmeta", b"GPS", b"Camera"))


def test_an_animation_keeps_its_frames_delays_and_loops() -> None:
    result, strips = rendered(animated_gif(), Format.GIF)
    assert result.frames == 4
    for strip in strips:
        assert (strip.get("n-pages"), strip.get("delay"), strip.get("loop")) == (4, DELAYS, 0)
    assert [(made.width, made.height) for made in result.variants] == [(600, 450), (400, 300), (200, 200)]


def test_partial_frames_are_drawn_over_what_was_there(tmp_path: Path) -> None:
    # A second frame that is a small square in the middle, over the first; then one that restores what was before.
    convert(
        *("-size", "600x400", "xc:rgb(200,30,30)", "-delay", "10"),
        *("(", "-size", "200x100", "xc:rgb(30,200,30)", "-repage", "600x400+200+150", ")"),
        *("-dispose", "none", "-loop", "3", f"gif:{tmp_path / 'partial.gif'}"),
    )
    _, strips = rendered((tmp_path / "partial.gif").read_bytes(), Format.GIF)
    for strip, side in zip(strips[1:], (1, 1), strict=True):
        height = strip.get("page-height")
        middle = strip.getpoint(strip.width // 2, height + height // 2)
        corner = strip.getpoint(side, height + side)
        assert middle[1] > 150 > middle[0], "the square"
        assert corner[0] > 150 > corner[1], "what the first frame drew is still there"
        assert strip.get("loop") == 3


def test_a_still_gif() -> None:
    result, (_, medium, small) = rendered(still_gif(), Format.GIF)
    assert result.frames == 1
    assert (medium.width, medium.height, small.width, small.height) == (400, 300, 200, 200)


def test_text_in_an_svg_is_drawn() -> None:
    text = '<text x="10" y="150" font-size="120" font-family="sans-serif">Mont Blanc</text>'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="800" height="200">{text}</svg>'
    _, (big, _, _) = rendered(svg.encode(), Format.JPG)
    assert big.colourspace("b-w").avg() < 245, "ink"


def test_an_svg_is_drawn_at_the_size_it_is_needed() -> None:
    # A line of half a pixel stays a line when it is made smaller, and the picture is as large as it says it is.
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 3000 2000"><rect width="1500" height="2000"/></svg>'
    result, (big, _, _) = rendered(svg, Format.JPG)
    assert (result.width, result.height) == (3000, 2000)
    assert (big.width, big.height) == (1500, 1000)
    assert max(big.getpoint(700, 500)) < 10
    assert min(big.getpoint(800, 500)) > 245


def test_a_thumbhash_and_a_colour_come_with_every_picture() -> None:
    for data, output in ((photo(600, 400), Format.JPG), (animated_gif(), Format.GIF), (still_gif(), Format.GIF)):
        result, _ = rendered(data, output)
        assert 5 < len(base64.b64decode(result.thumbhash)) < 30
        assert result.colour.startswith("#")
        assert len(result.colour) == 7


def test_a_variant_that_would_be_enormous_is_refused() -> None:
    (cover,) = parse_sizes('[{"suffix": "C", "convert": ["-resize", "2000x2000^"]}]')
    with pytest.raises(ImageError, match="2,000,000 × 2,000 pixels") as error:
        render(RenderJob(limits=Limits(), sizes=(cover,), outputs=(Output(format=Format.JPG),)), photo(3000, 3))
    assert error.value.fault is FailureClass.TOO_LARGE
