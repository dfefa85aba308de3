"""Records of other versions, searched by hypothesis: older ones are understood, and what is none is told as such."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.test_event_versions import anything, newer_fields, words
from tests.unit.test_names_searched import ALMOST, KEYS

from common.images.names import ImageKey, image_name_of, is_original
from common.images.records import Failure, OriginalInfo, Record, Stage, Variant, decode_record, encode_record

pytestmark = pytest.mark.explores

Written = dict[str, Any]

# What a record has if nothing but its configuration was written.
DEFAULTS: Written = {
    "version": 1,
    "stage": "base",
    "original": None,
    "variants": [],
    "replaced": [],
    "failed": None,
    "damaged": False,
    "crop": None,
    "thumbhash": None,
    "colour": None,
}
NUMBERS = st.integers(0, 2**40)
OPTIONAL_TEXT = st.none() | words
VARIANTS = st.builds(Variant, key=ALMOST, format=words, width=NUMBERS, height=NUMBERS, bytes=NUMBERS)
RECORDS = st.builds(
    Record,
    stage=st.sampled_from(Stage),
    configuration=words,
    original=st.none()
    | st.builds(OriginalInfo, key=KEYS, width=NUMBERS, height=NUMBERS, frames=NUMBERS, bytes=NUMBERS),
    variants=st.lists(VARIANTS, max_size=3).map(tuple),
    replaced=st.lists(ALMOST, max_size=3).map(tuple),
    failed=st.none() | st.builds(Failure, fault=words, reason=words),
    damaged=st.booleans(),
    crop=OPTIONAL_TEXT,
    thumbhash=OPTIONAL_TEXT,
    colour=OPTIONAL_TEXT,
)


def written_of(record: Record) -> Written:
    written: Written = json.loads(record.model_dump_json())
    return written


@given(record=RECORDS)
def test_what_is_stored_is_read_again(record: Record) -> None:
    assert decode_record(encode_record(record)) == record


@given(record=RECORDS, left_out=st.sets(st.sampled_from(sorted(DEFAULTS))))
def test_what_an_older_release_did_not_write_has_its_default(record: Record, left_out: set[str]) -> None:
    written = written_of(record)
    older = {field: value for field, value in written.items() if field not in left_out}
    expected = written | {field: DEFAULTS[field] for field in left_out}
    assert written_of(decode_record(json.dumps(older).encode())) == expected


@given(RECORDS, newer_fields, newer_fields)
def test_fields_of_a_newer_release_are_ignored(record: Record, outer: Written, inner: Written) -> None:
    written = written_of(record) | outer
    for field in ("original", "failed"):
        if written[field] is not None:
            written[field] |= inner
    written["variants"] = [variant | inner for variant in written["variants"]]
    assert decode_record(json.dumps(written).encode()) == record


@given(record=RECORDS, data=st.data())
def test_a_record_that_is_cut_off_cannot_be_read(record: Record, data: st.DataObject) -> None:
    content = encode_record(record).rstrip()
    with pytest.raises(ValueError, match="Record"):
        decode_record(content[: data.draw(st.integers(0, len(content) - 1))])


@given(record=RECORDS, field=st.sampled_from(["configuration", *DEFAULTS]), value=anything)
def test_whatever_a_field_holds_it_is_read_or_told(record: Record, field: str, value: object) -> None:
    try:
        found = decode_record(json.dumps(written_of(record) | {field: value}).encode())
    except ValueError as told:
        assert field in str(told)  # noqa: PT017 - it may be understood as well
    else:
        assert decode_record(encode_record(found)) == found


@given(content=anything.map(lambda found: json.dumps(found).encode()) | st.binary(max_size=40))
def test_what_is_no_record_cannot_be_read(content: bytes) -> None:
    with pytest.raises(ValueError, match="Record"):
        decode_record(content)


@given(image=KEYS, record=RECORDS, there=RECORDS)
def test_no_record_names_objects_of_another_image_or_an_original(
    image: ImageKey, record: Record, there: Record
) -> None:
    over = record.written_over(there, image)
    for named in (record.listed_keys(image), record.replaced_keys(image), over.replaced_keys(image)):
        assert {image_name_of(key) for key in named} <= {image.name}
        assert not any(map(is_original, named))
    assert not over.listed_keys(image) & over.replaced_keys(image) or over is record
