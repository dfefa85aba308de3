"""Fixtures that every kind of test uses."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.compose import why_not
from tests.support.rabbitmq import VirtualHost
from tests.support.s3 import TestBuckets, test_buckets
from tests.support.servers import begin_run, end_run

_NO_CONTAINERS = "IMAGE_BACKEND_TEST_NO_CONTAINERS"  # why containers cannot be tested; empty where they can
_CONTAINERS = Path(__file__).parent / "containers"


def pytest_configure(config: pytest.Config) -> None:
    """The process that begins the run owns its servers; those that xdist starts share them."""
    if not hasattr(config, "workerinput"):
        begin_run()
        os.environ[_NO_CONTAINERS] = why_not()


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """An engine is no server that could be installed: without one, there is nothing to be said about containers."""
    return True if os.environ[_NO_CONTAINERS] and collection_path == _CONTAINERS else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without its groups xdist would start every shared deployment once in each process."""
    if hasattr(config, "workerinput"):
        lost = [item.nodeid for item in items if item.get_closest_marker("xdist_group") and "@" not in item.nodeid]
        assert not lost, f"xdist does not see the groups of {lost[:3]}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if os.environ[_NO_CONTAINERS]:
        terminalreporter.write_line(f"tests/containers were left out: {os.environ[_NO_CONTAINERS]}")


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
