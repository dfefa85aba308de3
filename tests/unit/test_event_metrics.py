"""What the metrics tell of an event: how long it has waited, and why it is retried."""

import json
from datetime import UTC, datetime, timedelta, tzinfo

import pytest
from prometheus_client import REGISTRY
from tests.support.handling import Handling, subscription, uploaded

from common.errors import BusFault, Defect, Permanent, Postponed, StorageFull, Transient
from common.messaging.bus import Acknowledge, DeadLetter, Retry, dispatch
from common.messaging.events import encode
from common.messaging.topology import RETRY_DELAYS

QUEUE = "resizer.live"


def sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"image_backend_{name}", {"queue": QUEUE, **labels}) or 0.0


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (Postponed("others go first"), "postponed"),
        (StorageFull("full"), "outage"),
        (BusFault("away"), "outage"),
        (Transient("later"), "transient"),
        (TimeoutError(), "deadline"),
        (Defect("a defect"), "defect"),
        (KeyError("a defect"), "defect"),
    ],
)
async def test_a_retry_is_counted_by_its_cause(error: Exception, cause: str) -> None:
    async def act(_: int) -> None:
        raise error

    before = sample("event_retries_total", cause=cause)
    decision = await dispatch(encode(uploaded()), 0, subscription(Handling(act)), RETRY_DELAYS)
    assert isinstance(decision, Retry)
    assert sample("event_retries_total", cause=cause) == before + 1


async def test_what_is_dead_lettered_is_no_retry() -> None:
    async def act(_: int) -> None:
        raise Permanent("never")

    causes = ("postponed", "outage", "transient", "deadline", "defect", "too-new")
    before = [sample("event_retries_total", cause=cause) for cause in causes]
    assert isinstance(await dispatch(encode(uploaded()), 0, subscription(Handling(act)), RETRY_DELAYS), DeadLetter)
    assert [sample("event_retries_total", cause=cause) for cause in causes] == before


@pytest.mark.parametrize(
    ("ago", "zone", "waited"),
    [(timedelta(hours=1), UTC, 3600), (timedelta(hours=-1), UTC, 0), (timedelta(hours=1), None, 3600)],
    ids=["an hour ago", "by a clock that is ahead", "without a zone"],
)
async def test_the_wait_of_an_event_is_that_until_its_first_attempt(
    ago: timedelta, zone: tzinfo | None, waited: int
) -> None:
    event = uploaded().model_copy(update={"time": datetime.now(UTC).replace(tzinfo=zone) - ago})
    before = sample("event_wait_seconds_sum", type="ImageUploaded")
    for attempt in range(2):
        decision = await dispatch(encode(event), attempt, subscription(Handling()), RETRY_DELAYS)
        assert decision == Acknowledge()
    assert -1 < sample("event_wait_seconds_sum", type="ImageUploaded") - before - waited < 600


@pytest.mark.parametrize("made", ["0001-01-01T00:00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
async def test_an_event_of_any_time_is_handled(made: str) -> None:
    body = json.loads(encode(uploaded())) | {"time": made}
    assert await dispatch(json.dumps(body).encode(), 0, subscription(Handling()), RETRY_DELAYS) == Acknowledge()
