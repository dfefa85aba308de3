import json

import pytest

from common.images.sizes import Fit, Size, configuration, parse_sizes


def setting(*convert: str, suffix: str = "BI") -> str:
    return json.dumps([{"suffix": suffix, "convert": list(convert)}])


def test_the_default_is_what_the_existing_backends_do() -> None:
    big, medium, small = parse_sizes(None)
    assert (big.suffix, medium.suffix, small.suffix) == ("BI", "MI", "SI")
    assert big.scaled(4000, 3000) == (1500, 1125)
    assert big.scaled(3000, 4000) == (1125, 1500)
    assert big.scaled(800, 600) == (800, 600), "never enlarged"
    assert medium.scaled(4000, 3000) == (400, 300)
    assert medium.scaled(20_000, 1000) == (400, 20)
    assert medium.scaled(100_000, 10) == (400, 1), "never nothing"
    assert small.scaled(4000, 3000) == (267, 200)
    assert small.scaled(1, 1) == (200, 200)
    assert small.extent == (200, 200)
    assert {size.quality for size in (big, medium, small)} == {90}


def test_geometry_flags() -> None:
    (exact,) = parse_sizes(setting("-resize", "50x40!"))
    assert exact.scaled(1000, 10) == (50, 40)
    (inside,) = parse_sizes(setting("-resize", "50x40"))
    assert inside.scaled(10, 10) == (40, 40)
    assert inside == Size(suffix="BI", width=50, height=40, fit=Fit.INSIDE)


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
        (setting("-blur", "3", "-resize", "10x10"), "-blur"),
        (setting("-resize"), "value"),
        (setting("-resize", "axb"), "geometry 'axb'"),
        (setting("-resize", "0x5"), "geometry '0x5'"),
        (setting("-quality", "90"), "-resize"),
        (setting("-resize", "10x10", "-quality", "900"), "-quality '900'"),
        (setting("-resize", "10x10", "-extent", "5x5"), "-gravity"),
        (setting("-resize", "10x10")[:-1] + "," + setting("-resize", "20x20")[1:], "twice"),
    ],
)
def test_what_cannot_be_honoured_is_named(text: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        parse_sizes(text)


def test_the_configuration_changes_with_what_would_look_different() -> None:
    default = parse_sizes(None)
    assert configuration(default) == configuration(parse_sizes(None))
    changed = parse_sizes(setting("-resize", "1500x1500>", "-quality", "91"))
    assert len({configuration(sizes) for sizes in (default, default[:2], changed)}) == 3
