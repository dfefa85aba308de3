"""Events of other versions, searched by hypothesis: older ones are understood, newer ones are never misread."""

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.handling import Handling, subscription

from common.errors import EventTooNew, Permanent
from common.messaging.bus import Acknowledge, DeadLetter, Retry, dispatch
from common.messaging.events import Event, ImageUploaded, Lane, ThumbnailsRequested, decode, encode
from common.messaging.topology import RETRY_DELAYS

pytestmark = pytest.mark.explores

Written = dict[str, Any]

KINDS = {kind.__name__: kind for kind in get_args(Event)}
# What the first version wrote of each event, without anything that has a default.
_FAILED = {"class": "broken", "reason": "it is cut off"}
_STAGE = {"stage": "base", "configuration": "0123456789abcdef"}
FIRST_DATA: dict[str, Written] = {
    "ImageUploaded": {"lane": "bulk"},
    "ThumbnailsRequested": {"lane": "follow-up", "stage": "modern"},
    "ThumbnailsReady": _STAGE,
    "ThumbnailsFailed": {**_STAGE, "failed": _FAILED},
    "ThumbnailsActivated": _STAGE,
}
OPTIONAL = ("id", "time", "datacontenttype", "dataschema", "specversion")
OPTIONAL_DATA = ("lane", "stage")

words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20)
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
# No field that is known here begins so.
newer_fields = st.dictionaries(words.map("newer{}".format), anything, min_size=1, max_size=4)


def as_json(written: Written) -> bytes:
    return json.dumps(written).encode()


def written_of(name: str) -> Written:
    return {
        "specversion": "1.0",
        "id": "c0ffee",
        "source": "/ingest",
        "type": name,
        "time": "2026-11-27T12:00:00Z",
        "subject": "1475660224_0882910455.jpg",
        "datacontenttype": "application/json",
        "dataschema": f"urn:image-backend:{name}:1",
        "data": dict(FIRST_DATA.get(name, {})),
    }


names = st.sampled_from(sorted(KINDS))


@given(names, st.sets(st.sampled_from(OPTIONAL + OPTIONAL_DATA)))
def test_what_an_older_version_leaves_out_has_its_default(name: str, left_out: set[str]) -> None:
    written = written_of(name)
    data = {field: value for field, value in written.pop("data").items() if field not in left_out}
    written = {field: value for field, value in written.items() if field not in left_out} | {"data": data}
    event = decode(as_json(written))
    assert type(event) is KINDS[name]
    understood = json.loads(encode(event))
    defaults = {"lane": "live", "stage": "base", "crop": None, "failed": None}
    assert understood.pop("data") == {field: data.get(field, defaults.get(field)) for field in understood_data(name)}
    assert {field: understood[field] for field in written if field != "data"} == {
        field: value for field, value in written.items() if field != "data"
    }


def understood_data(name: str) -> set[str]:
    return set(KINDS[name].model_fields["data"].annotation.model_fields)


@given(names, newer_fields, newer_fields, newer_fields)
def test_fields_of_a_newer_version_are_ignored(name: str, event: Written, data: Written, failure: Written) -> None:
    written = written_of(name)
    expected = decode(as_json(written))
    if "failed" in written["data"]:
        written["data"]["failed"] = {**written["data"]["failed"], **failure}
    written["data"] |= data
    assert decode(as_json(written | event)) == expected


@given(st.sampled_from(["ImageUploaded", "ThumbnailsRequested"]), words.filter(lambda word: word not in tuple(Lane)))
def test_a_lane_of_a_newer_version_delays_no_other(name: str, lane: str) -> None:
    written = written_of(name)
    written["data"]["lane"] = lane
    event = decode(as_json(written))
    assert isinstance(event, ImageUploaded | ThumbnailsRequested)
    assert event.data.lane is Lane.BULK


@pytest.mark.parametrize(
    "media_type", ["application/json; charset=utf-8", "application/json;charset=UTF-8", "Application/JSON ; a=b"]
)
def test_parameters_of_the_media_type_say_nothing_here(media_type: str) -> None:
    written = written_of("ImageUploaded")
    assert decode(as_json(written | {"datacontenttype": media_type})) == decode(as_json(written))


unknown = words.map("newer{}".format)


@given(
    st.sampled_from([name for name, data in FIRST_DATA.items() if "stage" in data]),
    st.sampled_from(["stage", "type", "dataschema", "specversion", "datacontenttype"]),
    unknown,
    newer_fields,
)
def test_a_value_whose_meaning_is_needed_is_named_and_left_to_newer_ones(
    name: str, field: str, value: str, more: Written
) -> None:
    written = written_of(name) | more
    if field == "stage":
        written["data"]["stage"] = value
    else:
        written[field] = value
    with pytest.raises(EventTooNew) as refused:
        decode(as_json(written))
    assert field in str(refused.value)
    assert "newer" in str(refused.value).partition(": ")[2]  # the value itself


@given(anything | newer_fields)
def test_what_is_no_event_is_refused_whatever_it_is(body: object) -> None:
    with pytest.raises(Permanent, match="not an event"):
        decode(json.dumps(body).encode())


async def test_a_newer_event_is_kept_for_newer_replicas_and_then_dead_lettered_with_its_reason() -> None:
    body = as_json(written_of("ThumbnailsRequested") | {"data": {"lane": "live", "stage": "newer"}})
    handling = Handling()
    decisions = [await dispatch(body, attempt, subscription(handling), RETRY_DELAYS) for attempt in range(6)]
    assert [d.delay for d in decisions if isinstance(d, Retry)] == list(RETRY_DELAYS)
    last = decisions[-1]
    assert isinstance(last, DeadLetter)
    assert "data.stage" in last.reason
    assert "'newer'" in last.reason
    assert handling.events == []
    understood = await dispatch(as_json(written_of("ThumbnailsRequested")), 3, subscription(handling), RETRY_DELAYS)
    assert isinstance(understood, Acknowledge)


def test_a_value_of_any_length_is_told_in_few_words() -> None:
    with pytest.raises(EventTooNew) as told:
        decode(json.dumps({"type": "x" * 100_000, "stage": "y" * 100_000}).encode())
    assert len(str(told.value)) < 1000
