"""The site that the client suite talks to: every kind of deployment, or one that runs already.

`CLIENT_URL` names a running one, with `CLIENT_SECRET` and, where public files are not under `CLIENT_URL/active`,
`CLIENT_PUBLIC_URL`. It has to serve the page (`DEMO_PAGE=1`). A deployment serves all tests of the suite, as a site
does its clients.
"""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from tests.client.site import Site
from tests.support.deployment import APART, KINDS, PYTHON, SECRET, Deployment, watched

_KINDS = ["running"] if "CLIENT_URL" in os.environ else [*KINDS, APART]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One event loop for the tests that share a deployment."""
    for item in items:
        if (
            item.path.parent == Path(__file__).parent
            and isinstance(item, pytest.Function)
            and "site" in item.fixturenames
        ):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


# A group is run by one process, which needs one deployment of each kind.
@pytest_asyncio.fixture(
    params=[pytest.param(kind, marks=pytest.mark.xdist_group(kind)) for kind in _KINDS],
    scope="session",
    loop_scope="session",
)
async def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    # No call goes over a connection that the site has closed for being idle: between tests, nobody notices that.
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(keepalive_timeout=5)) as http:
        if request.param == "running":
            url = os.environ["CLIENT_URL"].rstrip("/")
            public = os.environ.get("CLIENT_PUBLIC_URL", f"{url}/active").rstrip("/")
            yield Site(http, url, public, os.environ["CLIENT_SECRET"])
            return
        settings = {"ROUTE_PREFIX": "/images", "GENERATE_WEBP": "1", "DEMO_PAGE": "1"}
        async with Deployment.prepared(request.param, tmp_path_factory.mktemp("site"), **settings) as deployment:
            deployment.python = PYTHON
            await deployment.start()
            async with deployment.one_address() as url:
                public = deployment.public_url("") if deployment.s3 else f"{url}/active"
                yield Site(http, url, public.rstrip("/"), SECRET)


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    """One process, with the page: what a test of the page has for itself."""
    async with watched(tmp_path, GENERATE_WEBP="1") as prepared:
        await prepared.start()
        yield prepared
