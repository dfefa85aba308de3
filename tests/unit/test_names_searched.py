"""Keys, searched by hypothesis: what is written is read in one way alone, and no key is a path or another image's."""

import posixpath
import re
from itertools import product
from operator import add
from string import ascii_letters, digits

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from common.images.formats import MODERN_FORMATS, Output
from common.images.names import (
    CONTENT_TYPES,
    KEY_SCHEMA,
    BadName,
    ImageKey,
    content_type,
    image_name_of,
    is_original,
)
from common.images.plan import Plan
from common.images.sizes import Size

pytestmark = pytest.mark.explores

NAMES = st.builds("{}_{}".format, st.integers(0, 10**13), st.text(digits, min_size=1, max_size=10))
EXTENSIONS = st.sampled_from([*map("".join, product("jJ", "pP", "gG")), "png", "PNG", "Gif", "gif", "svg", "SVG"])
KEYS = st.builds(ImageKey, NAMES, EXTENSIONS)
SUFFIXES = st.builds(add, st.sampled_from(ascii_letters + "_-"), st.text(ascii_letters + digits + "_-", max_size=15))
PLANS = st.lists(SUFFIXES, min_size=1, max_size=4, unique=True).map(
    lambda suffixes: Plan(
        tuple(Size(suffix=suffix, steps=()) for suffix in suffixes),
        tuple(Output(format=modern) for modern in MODERN_FORMATS),
    )
)
# What a key consists of, and what only looks like it.
ALMOST = st.lists(
    st.sampled_from(["1", "0", "_", "123_45", ".", ".jpg", ".svg", ".json", ".modern", ".crop", "BI", "/", "..", "\\"])
    | st.sampled_from(["tombstones/", "\n", "\0", "%2e", "ſ", "ı", "İ", "١", " ", "-", "jpg", ".GIF", ".webp"]),
    max_size=8,
).map("".join) | st.text(max_size=20)


@given(image=KEYS)
def test_a_key_that_is_written_is_read_again(image: ImageKey) -> None:
    assert ImageKey.parse(str(image)) == image
    assert is_original(str(image))
    assert content_type(str(image)) == CONTENT_TYPES[f".{image.format}"]


@given(text=ALMOST)
@example(text="1_2.ſvg")
@example(text="1_2.gıf")
@example(text="1_2.gİf")
def test_what_is_read_as_a_key_is_spelt_as_the_documents_say(text: str) -> None:
    documented = len(text) <= KEY_SCHEMA["maxLength"] and re.search(KEY_SCHEMA["pattern"], text) is not None
    assert is_original(text) == (documented and not text.endswith("\n"))
    if not is_original(text):
        with pytest.raises(BadName):
            ImageKey.parse(text)
        return
    image = ImageKey.parse(text)
    assert str(image) == text
    assert image.format in ("jpg", "png", "gif", "svg")
    assert image_name_of(text) == image.name


@given(key=ALMOST)
def test_an_object_of_an_image_is_a_file_beside_it(key: str) -> None:
    name = image_name_of(key)
    if name is not None:
        assert key.startswith(name)
        assert not key[len(name)].isdigit()
        assert key.isascii()
        assert posixpath.normpath(posixpath.join("/bucket", key)) == f"/bucket/{key}"
        assert "/" not in key


@given(image=KEYS, plan=PLANS)
def test_every_key_of_an_image_is_told_to_be_its_own(image: ImageKey, plan: Plan) -> None:
    keys = plan.keys_by_name(image) | plan.rendered_keys(image)
    assert {image_name_of(key) for key in keys} == {image.name}
    assert plan.rendered_keys(image) <= plan.keys_by_name(image), "a deletion removes all that was rendered"
    for stage in plan.stages:
        variants = plan.variant_keys(image, stage)
        assert len(variants) == len(plan.sizes) * len(plan.outputs(image, stage)), "no variant replaces another"
        assert not any(is_original(key) for key in variants)
        assert str(image) not in variants


@given(one=KEYS, other=KEYS, plan=PLANS)
def test_two_images_have_no_key_in_common(one: ImageKey, other: ImageKey, plan: Plan) -> None:
    # Names that begin alike are those that could be mixed up.
    longer = ImageKey(f"{one.name}{other.name.split('_')[1]}"[: len(one.name.split("_")[0]) + 11], other.extension)
    for stranger in (other, longer):
        if stranger.name != one.name:
            assert not plan.keys_by_name(one) & plan.keys_by_name(stranger)
            assert one.tombstone_key != stranger.tombstone_key
