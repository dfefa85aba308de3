"""The two buckets on each kind of store, and both buses."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.bus import opened
from tests.support.handling import DELAYS
from tests.support.rabbitmq import VirtualHost
from tests.support.s3 import TestBuckets
from tests.support.stores import s3_pair

from common.messaging.bus import Bus
from common.messaging.embedded import EmbeddedBus
from common.storage.base import Buckets
from common.storage.local import LocalStorage
from common.storage.s3 import connect


@pytest.fixture
async def s3(s3_buckets: TestBuckets, tmp_path: Path) -> AsyncIterator[Buckets]:
    async with connect(s3_buckets.account) as client:
        yield s3_pair(client, s3_buckets.account, s3_buckets, tmp_path)


@pytest.fixture
def local(tmp_path: Path) -> Buckets:
    return Buckets(LocalStorage.open(tmp_path / "incoming"), LocalStorage.open(tmp_path / "active"))


@pytest.fixture(params=["embedded", "rabbit"])
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    if request.param == "embedded":
        embedded = EmbeddedBus(DELAYS)
        yield embedded
        await embedded.drain(0.1)
    else:
        async with VirtualHost.fresh() as vhost, opened(vhost.url, DELAYS) as rabbit:
            yield rabbit
