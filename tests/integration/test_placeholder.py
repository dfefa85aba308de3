import base64

import pytest
import pyvips

from resizer.operations.placeholder import SmallImage, average_colour, shrink_for_placeholder, thumbhash


def plain(colour: list[int], width: int = 64, height: int = 48) -> SmallImage:
    return shrink_for_placeholder(
        (pyvips.Image.black(width, height) + colour).cast("uchar").copy(interpretation="srgb")
    )


def test_the_average_colour() -> None:
    assert average_colour(plain([200, 100, 50])) == "#c86432"
    assert average_colour(plain([200, 100, 50, 0])) == "#ffffff", "what is invisible is white"
    assert average_colour(plain([77])) == "#4d4d4d"


@pytest.mark.parametrize(("width", "height"), [(64, 48), (48, 64), (1, 1), (1000, 3)])
def test_a_thumbhash_holds_colour_and_shape(width: int, height: int) -> None:
    data = base64.b64decode(thumbhash(plain([255, 0, 0], width, height)))
    head = data[0] | data[1] << 8 | data[2] << 16
    luminance, p, q = (head & 63) / 63, (head >> 6 & 63) / 31.5 - 1, (head >> 12 & 63) / 31.5 - 1
    # Red, by the inverse of the format's colour transform.
    blue = luminance - 2 / 3 * p
    red = (3 * luminance - blue + q) / 2
    assert red == pytest.approx(1, abs=0.05)
    assert red - q == pytest.approx(0, abs=0.05)
    assert blue == pytest.approx(0, abs=0.05)
    assert (data[4] >> 7 == 1) is (width > height)
    assert data[2] >> 7 == 0, "no alpha"


def test_a_thumbhash_knows_of_alpha() -> None:
    assert base64.b64decode(thumbhash(plain([255, 0, 0, 128])))[2] >> 7 == 1
