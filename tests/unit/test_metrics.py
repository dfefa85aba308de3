"""Histograms measure what they are for: the longest that anything may take is not lost beyond the last bucket."""

import itertools
from pathlib import Path

import pytest
from prometheus_client import Histogram

from common import metrics
from common.messaging.embedded import EmbeddedBus
from common.settings.base import read_settings
from common.storage.base import Buckets
from common.storage.local import LocalStorage
from common.storage.s3.account import write_seconds
from ingest.http.routes import LONGEST_STREAM
from publisher.bootstrap import publisher
from resizer.bootstrap import resizer
from standalone.settings import DEFAULTS, StandaloneSettings

SETTINGS = read_settings(StandaloneSettings, DEFAULTS)


def finite(histogram: Histogram) -> list[float]:
    return [bound for bound in histogram._upper_bounds if bound != float("inf")]  # noqa: SLF001 - it tells nobody


def test_the_longest_requests() -> None:
    bounds = finite(metrics.HTTP_SECONDS)
    assert max(bounds) >= max(SETTINGS.upload_timeout, SETTINGS.edit_wait, LONGEST_STREAM)
    assert any(bound < SETTINGS.upload_timeout / 2 for bound in bounds if bound > 10), "slow uploads differ"
    assert min(bounds) <= 0.005


async def test_the_longest_events_and_renderings(tmp_path: Path) -> None:
    buckets = Buckets(LocalStorage.open(tmp_path / "in"), LocalStorage.open(tmp_path / "out"))
    bus = EmbeddedBus()
    async with resizer(SETTINGS, bus=bus, buckets=buckets) as one, publisher(SETTINGS, bus=bus, buckets=buckets) as two:
        deadlines = [subscription.deadline for service in (one, two) for subscription in service.subscriptions]
    assert max(finite(metrics.EVENT_SECONDS)) >= max(deadlines)
    assert max(finite(metrics.IMAGING_SECONDS)) >= 6 * SETTINGS.image_wall_seconds, (
        "what gives way has six times as long"
    )


def test_the_longest_ways_of_an_upload_and_waits_of_an_event() -> None:
    assert max(finite(metrics.UPLOAD_PUBLIC_SECONDS)) >= SETTINGS.incoming_ttl
    assert max(finite(metrics.EVENT_WAIT_SECONDS)) >= 86400, "half a million bulk images"


def test_the_longest_commands_and_operations_of_a_store() -> None:
    assert max(finite(metrics.COMMAND_SECONDS)) >= 2 * SETTINGS.edit_wait
    assert max(finite(metrics.STORE_SECONDS)) >= write_seconds(SETTINGS.max_upload_bytes)


HISTOGRAMS = [metric for metric in vars(metrics).values() if isinstance(metric, Histogram)]


@pytest.mark.parametrize("histogram", HISTOGRAMS, ids=str)
def test_no_bucket_is_so_wide_that_it_says_nothing(histogram: Histogram) -> None:
    bounds = finite(histogram)
    assert all(upper / lower <= 4 for lower, upper in itertools.pairwise(bounds))
