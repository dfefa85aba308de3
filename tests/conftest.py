"""Fixtures that every kind of test uses."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.compose import why_not
from tests.support.exploration import configure_hypothesis
from tests.support.rabbitmq import VirtualHost
from tests.support.s3 import TestBuckets, test_buckets
from tests.support.servers import begin_run, end_run

_NO_CONTAINERS = "IMAGE_BACKEND_TEST_NO_CONTAINERS"  # why tests/containers cannot run; empty where they can
_CONTAINERS = Path(__file__).parent / "containers"


def pytest_configure(config: pytest.Config) -> None:
    """The first process of the run owns the servers. The processes that xdist starts share them.

    No server is started before a test asks for it. The Docker engine is only asked when tests/containers is collected.
    """
    if not hasattr(config, "workerinput"):
        begin_run()
        os.environ[_NO_CONTAINERS] = why_not() if _collects(_CONTAINERS, config) else ""
    configure_hypothesis()


def _collects(folder: Path, config: pytest.Config) -> bool:
    """Whether the arguments of the run name the folder, something in it, or a folder around it."""
    paths = [(config.invocation_params.dir / argument.partition("::")[0]).resolve() for argument in config.args]
    return any(folder.is_relative_to(path) or path.is_relative_to(folder) for path in paths)


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Without a Docker engine tests/containers is left out: an engine cannot be installed as a server can."""
    return True if os.environ[_NO_CONTAINERS] and collection_path == _CONTAINERS else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Fail if xdist ignores the groups: each process would start every shared deployment."""
    if hasattr(config, "workerinput"):
        lost = [item.nodeid for item in items if item.get_closest_marker("xdist_group") and "@" not in item.nodeid]
        assert not lost, f"xdist does not see the groups of {lost[:3]}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for report in terminalreporter.getreports("passed"):
        for name, found in report.user_properties:
            terminalreporter.write_line(f"{name}: {found}")
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
