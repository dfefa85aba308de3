"""Fixtures that every kind of test uses."""

from collections.abc import AsyncIterator

import pytest
from tests.support.rabbitmq import VirtualHost
from tests.support.s3 import TestBuckets, test_buckets
from tests.support.servers import begin_run, end_run


def pytest_configure(config: pytest.Config) -> None:
    """The process that begins the run owns its servers; those that xdist starts share them."""
    if not hasattr(config, "workerinput"):
        begin_run()


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        end_run()


@pytest.fixture
async def vhost() -> AsyncIterator[VirtualHost]:
    """A virtual host on the real broker."""
    async with VirtualHost.fresh() as host:
        yield host


@pytest.fixture
async def s3_buckets() -> AsyncIterator[TestBuckets]:
    """Two buckets on the real S3 server."""
    async with test_buckets() as buckets:
        yield buckets
