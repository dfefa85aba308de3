"""Geometries, searched by hypothesis: sides are never nothing and fit into the box; crops lie within the picture."""

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from tests.unit.test_sizes import setting

from common.errors import ImageError
from common.images.geometry import Box, Geometry, rotate_box
from common.images.sizes import Crop, parse_sizes

pytestmark = pytest.mark.explores

SIDES = st.integers(1, 20_000) | st.integers(1, 12)
IMAGES = st.tuples(SIDES, SIDES)
PIXELS = SIDES.map(str) | st.builds("{}.{}".format, st.integers(0, 2000), st.integers(0, 99))
BOXES = st.builds("{}x{}".format, PIXELS, PIXELS)
OFFSETS = st.integers(0, 20_000) | st.integers(-5, -1)


@given(image=IMAGES, box=st.tuples(SIDES, SIDES))
def test_a_picture_fits_into_its_box_and_keeps_its_ratio(image: tuple[int, int], box: tuple[int, int]) -> None:
    width, height = Geometry.parse(f"{box[0]}x{box[1]}").resized_size(*image)
    assert 1 <= width <= box[0]
    assert 1 <= height <= box[1]
    scale = min(box[0] / image[0], box[1] / image[1])
    assert width == box[0] or height == box[1]
    assert abs(width - max(1, scale * image[0])) <= 0.5 + 1e-6
    assert abs(height - max(1, scale * image[1])) <= 0.5 + 1e-6
    assert Geometry.parse(f"{box[0]}x{box[1]}>").resized_size(*image) == ((width, height) if scale < 1 else image), (
        "never enlarged"
    )
    covering = Geometry.parse(f"{box[0]}x{box[1]}^").resized_size(*image)
    assert covering[0] >= box[0]
    assert covering[1] >= box[1]


@given(image=IMAGES, text=BOXES, flags=st.text("%!<>^", max_size=3))
@example(image=(100, 100), text="0.4x10", flags="")
@example(image=(1, 1), text="0.1x0.1", flags="%")
def test_no_side_is_ever_nothing(image: tuple[int, int], text: str, flags: str) -> None:
    for option, value in (("-resize", text + flags), ("-extent", text), ("-extent", text.partition("x")[0])):
        try:
            (size,) = parse_sizes(setting(option, value))
        except ValueError as error:
            assert "expected" in str(error)  # noqa: PT017 - it may be understood as well
        else:
            assert min(size.dimensions(*image)) >= 1, (option, value)


@given(image=IMAGES, text=BOXES, percent=st.sampled_from(["", "%"]), left=OFFSETS, top=OFFSETS)
def test_a_crop_lies_within_the_picture_however_it_is_turned(
    image: tuple[int, int], text: str, percent: str, left: int, top: int
) -> None:
    left, top = (min(offset, side - 1) for offset, side in zip((left, top), image, strict=True))
    try:
        box = Crop.parse(f"{text}{percent}{left:+}{top:+}").box(*image)
    except (ImageError, ValueError):
        assume(False)
    for degrees in (90, 180, -90):
        sides = image if degrees == 180 else (image[1], image[0])
        turned = rotate_box(box, degrees, image)
        assert is_within(turned, sides)
        assert rotate_box(turned, -degrees if degrees != 180 else 180, sides) == box
        # An edit stores the turned crop as text.
        stored = Crop.parse(f"{turned.width}x{turned.height}+{turned.left}+{turned.top}")
        assert stored.box(*sides) == turned
    four, sides = box, image
    for _ in range(4):
        four, sides = rotate_box(four, 90, sides), (sides[1], sides[0])
    assert (four, sides) == (box, image)


def is_within(box: Box, sides: tuple[int, int]) -> bool:
    return (
        min(box) >= 0
        and min(box.width, box.height) >= 1
        and box.left + box.width <= sides[0]
        and box.top + box.height <= sides[1]
    )


def test_a_crop_of_a_very_wide_picture_can_be_turned() -> None:
    box = Crop.parse("90%x100%+0+0").box(150_000, 90)
    turned = rotate_box(box, 90, (150_000, 90))
    assert Crop.parse(f"{turned.width}x{turned.height}+{turned.left}+{turned.top}").box(90, 150_000) == turned
