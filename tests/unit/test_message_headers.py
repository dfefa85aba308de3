"""What the bus writes into the headers of a message that failed: attempts, reason, and when it failed."""

from aio_pika.abc import HeadersType

from common.messaging.rabbit.message import copy_headers

OLD: HeadersType = {
    "x-attempt": 4,
    "x-reason": "away",
    "x-first-failure": "2026-01-01T00:00:00+00:00",
    "x-last-failure": "2026-01-02",
}


def test_the_first_failure_sets_both_times() -> None:
    headers = copy_headers({}, 1, "away")
    assert headers["x-first-failure"] == headers["x-last-failure"]
    assert (headers["x-attempt"], headers["x-reason"]) == (1, "away")


def test_a_later_failure_keeps_the_time_of_the_first() -> None:
    headers = copy_headers(OLD, 5, "still away")
    assert headers["x-first-failure"] == OLD["x-first-failure"]
    assert headers["x-last-failure"] != OLD["x-last-failure"]


def test_what_was_postponed_has_not_failed() -> None:
    assert copy_headers({}, 0, "later").keys() == {"x-attempt", "x-reason"}
    assert copy_headers(OLD, 4, "later") == OLD | {"x-reason": "later"}
