import json
import re

import pytest

from common.errors import ImageError
from common.images.formats import Format, Output
from common.images.plan import Plan
from common.images.records import Stage
from common.images.sizes import Crop, parse_sizes


def setting(*convert: str, suffix: str = "BI") -> str:
    return json.dumps([{"suffix": suffix, "convert": list(convert)}])


def test_the_default_is_what_the_existing_backends_do() -> None:
    big, medium, small = parse_sizes(None)
    assert (big.suffix, medium.suffix, small.suffix) == ("BI", "MI", "SI")
    assert big.dimensions(4000, 3000) == (1500, 1125)
    assert big.dimensions(3000, 4000) == (1125, 1500)
    assert big.dimensions(800, 600) == (800, 600), "never enlarged"
    assert medium.dimensions(4000, 3000) == (400, 300)
    assert medium.dimensions(20_000, 1000) == (400, 20)
    assert medium.dimensions(100_000, 10) == (400, 1), "never nothing"
    assert {small.dimensions(*size) for size in ((4000, 3000), (1, 1), (20_000, 10))} == {(200, 200)}
    assert {size.quality for size in (big, medium, small)} == {90}


def test_all_that_the_field_uses() -> None:
    (size,) = parse_sizes(
        setting(
            "-auto-orient", "-crop", "50%x50%+0+0", "+repage", "-gravity", "SouthEast", "-background", "#102030"
        ).replace("]}]", ', "-thumbnail", "100", "-extent", "120x90+1+2", "-strip", "-interlace", "Plane"]}]')
    )
    assert size.dimensions(4000, 3000) == (120, 90)
    assert size.interlaced
    assert len(size.steps) == 3


def test_a_crop_keeps_what_lies_within() -> None:
    (size,) = parse_sizes(setting("-crop", "100x100+50+60"))
    assert size.dimensions(200, 200) == (100, 100)
    assert size.dimensions(120, 100) == (70, 40)
    with pytest.raises(ImageError, match="outside of its 40 × 40"):
        size.dimensions(40, 40)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{", "JSON"),
        ("{}", "list"),
        ("[]", "list"),
        ('[{"suffix": "BI"}]', "convert"),
        ('[{"suffix": "BI", "convert": "-resize"}]', "list of strings"),
        (setting("-resize", "10x10", suffix=""), "suffix ''"),
        (setting("-resize", "10x10", suffix="1"), "suffix '1'"),
        (setting("-resize", "10x10", suffix="a/../b"), "suffix"),
        (setting("-blur", "3", "-resize", "10x10"), "-blur is not understood: expected one of -resize"),
        (setting("-resize"), "expected a value after -resize"),
        (setting("-resize", "axb"), "geometry 'axb'"),
        (setting("-resize", ""), "geometry ''"),
        (setting("-resize", "0x5"), "expected 1 to"),
        (setting("-resize", "999999x5"), "expected 1 to"),
        (setting("-resize", "5x5@"), "expected one number"),
        (setting("-resize", "4:3"), "geometry '4:3'"),
        (setting("-resize", "10x10+1+1"), "no offset"),
        (setting("-quality", "900"), "-quality '900'"),
        (setting("-crop", "10x10"), "expected WxH+X+Y"),
        (setting("-crop", "50%x50%+50%+50%"), "offsets are in pixels"),
        (setting("-crop", "50x50+10+20%"), "offsets are in pixels"),
        (setting("-extent", "10x10^"), "no flags"),
        (setting("-gravity", "up"), "-gravity 'up': expected centre, northwest"),
        (setting("-background", "octarine"), "-background 'octarine'"),
        (setting("-interlace", "sometimes"), "-interlace 'sometimes'"),
        (setting("-resize", "10x10")[:-1] + "," + setting("-resize", "20x20")[1:], "a suffix of its own"),
    ],
)
def test_what_cannot_be_honoured_is_named(text: str, named: str) -> None:
    with pytest.raises(ValueError, match=re.escape(named)):
        parse_sizes(text)


def test_the_configuration_changes_with_what_would_look_different() -> None:
    default = parse_sizes(None)
    finer = parse_sizes(setting("-resize", "1500x1500>", "-quality", "91"))
    assert Plan(default).configuration(Stage.BASE) == Plan(parse_sizes(None)).configuration(Stage.BASE)
    assert len({Plan(sizes).configuration(Stage.BASE) for sizes in (default, default[:2], finer)}) == 3


def test_records_of_earlier_versions_stay_those_of_this_configuration() -> None:
    default = Plan(parse_sizes(None), (Output(Format.WEBP, quality=80), Output(Format.AVIF, effort=3)))
    assert default.configuration(Stage.BASE) == "a895b8e4835a0a48"
    assert default.configuration(Stage.BASE, Crop.parse("10x20+30+40")) == "61d1437603e6c1df"
    assert default.configuration(Stage.MODERN) == "abce8ea8f325b2f6"
    cut = ["-resize", "1500x1500>", "-gravity", "center", "-crop", "50%x50%+1+2"]
    framed = ["-background", "#ff0000", "-extent", "200x200+1+1", "-interlace", "line", "-quality", "80"]
    sizes = parse_sizes(json.dumps([{"suffix": "BI", "convert": cut + framed}]))
    assert Plan(sizes).configuration(Stage.BASE) == "d80bc839ca03ca79"


def test_each_stage_has_a_configuration_of_its_own() -> None:
    one, other = (Output(format=Format.WEBP, quality=quality) for quality in (80, 81))
    coarse, fine = (parse_sizes(setting("-resize", "90x90", "-quality", quality)) for quality in ("80", "90"))
    assert Plan(fine).configuration(Stage.BASE) == Plan(fine, (one,)).configuration(Stage.BASE)
    assert Plan(fine, (one,)).configuration(Stage.MODERN) != Plan(fine, (other,)).configuration(Stage.MODERN)
    # The quality of the sizes is that of JPEG.
    assert Plan(coarse, (one,)).configuration(Stage.MODERN) == Plan(fine, (one,)).configuration(Stage.MODERN)
