"""The whole image backend in containers, once for all tests, which begin with it as it was brought up."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest
from tests.client.site import Site
from tests.support.compose import Project, why_not


@pytest.hookimpl(tryfirst=True)  # before xdist looks at the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One process has the containers, and takes its time."""
    for item in items:
        if item.path.is_relative_to(__file__.rpartition("/")[0]):
            item.add_marker(pytest.mark.xdist_group("containers"))
            item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="session")
def project() -> Iterator[Project]:
    """The project of docker-compose.yml alone, healthy, with folders on its shared volume."""
    assert not why_not(), why_not()
    found = Project(GENERATE_WEBP="1", RECONCILE_AFTER="5", RECONCILE_INTERVAL="2")
    try:
        found.build()
        found.up()
        yield found
    finally:
        found.down()
        found.forget_images()


@pytest.fixture
async def site(project: Project) -> AsyncIterator[Site]:
    """The same, as its clients know it, with one container of each service."""
    for service in ("ingest", "resizer", "publisher"):
        if len(await asyncio.to_thread(project.containers, service)) != 1:
            await asyncio.to_thread(project.scale, service, 1)
    async with aiohttp.ClientSession() as http:
        yield Site(http, project.url, f"{project.url}/active", project.secret)
