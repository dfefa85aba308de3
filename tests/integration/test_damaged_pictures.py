"""Damaged originals: what can be decoded is shown, and an image without any of it fails with the reason."""

import pytest
from tests.support.pictures import opened, photo
from tests.support.variants import rendered

from common.errors import FailureClass, ImageError
from common.images.formats import Format


@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("output", [Format.JPG, Format.PNG], ids=str)
def test_a_cut_off_image_shows_what_there_is(part: float, output: Format) -> None:
    whole = photo(1600, 1200) if output is Format.JPG else opened(photo(1600, 1200)).pngsave_buffer()
    result, (big, _, _) = rendered(whole[: int(len(whole) * part)], output)
    assert result.damaged
    top = opened(whole).crop(0, 0, 1500, 100).resize(big.width / 1600)
    assert abs(big.crop(0, 0, top.width, 80).avg() - top.avg()) < 12


def test_a_bad_segment_in_the_middle() -> None:
    data = bytearray(photo(1600, 1200))
    data[len(data) // 2 : len(data) // 2 + 2] = b"\xff\xd3"  # a marker where there can be none
    result, (big, _, _) = rendered(bytes(data), Format.JPG)
    assert result.damaged
    assert big.getpoint(50, 50)[0] > 200


def test_an_image_without_a_pixel_fails_with_the_reason() -> None:
    whole = photo(1600, 1200)
    start = whole.index(b"\xff\xda")
    with pytest.raises(ImageError) as error:
        rendered(whole[: start + 14], Format.JPG)
    assert error.value.fault is FailureClass.BROKEN
    assert "end" in error.value.reason
