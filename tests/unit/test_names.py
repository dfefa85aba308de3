import pytest

from common.images.formats import Format
from common.images.names import BadName, ImageKey, content_type, image_name_of


@pytest.mark.parametrize("text", ["1475660224_0882910455.jpg", "1_1.svg", "1475660224_1234567.gif", "0_0.png"])
def test_names_old_and_new(text: str) -> None:
    assert str(ImageKey.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x.jpg",
        "1475660224_0882910455",
        "1475660224_0882910455.jpeg",
        "1475660224_08829104551.jpg",
        "1475660224_.jpg",
        "_1.jpg",
        "1475660224_0882910455BI.jpg",
        "../1475660224_0882910455.jpg",
        "1475660224_0882910455.jpg\n",
        "١_١.jpg",
        "1" * 25 + "_1.jpg",
        "1" * 10_000,
    ],
)
def test_what_is_no_name_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(BadName, match="expected SECONDS_DIGITS") as error:
        ImageKey.parse(text)
    assert len(str(error.value)) < 400


def test_new_names_have_ten_digits_and_differ() -> None:
    keys = {ImageKey.new(Format.PNG) for _ in range(200)}
    assert len(keys) == 200
    assert {len(key.name.split("_")[1]) for key in keys} == {10}
    assert all(ImageKey.parse(str(key)) == key for key in keys)


def test_keys_of_variants() -> None:
    assert ImageKey.parse("1_2.gif").variant_key("BI") == "1_2BI.gif"
    assert ImageKey.parse("1_2.svg").variant_key("BI") == "1_2BI.jpg"


def test_an_object_belongs_to_the_image_whose_whole_name_it_begins_with() -> None:
    assert image_name_of("123_45.jpg") == "123_45"
    assert image_name_of("123_45BI.jpg") == "123_45"
    assert image_name_of("123_45.json") == "123_45"
    assert image_name_of("123_456BI.jpg") == "123_456"
    for stranger in ("123_45", "123_45.exe", "notes.txt", "tombstones/123_45", "123_45BI/x.jpg", ".tmp"):
        assert image_name_of(stranger) is None


def test_content_types_come_from_the_key() -> None:
    assert content_type("1_2BI.jpg") == "image/jpeg"
    assert content_type("1_2.json") == "application/json"
    assert content_type("tombstones/1_2") == "application/octet-stream"
