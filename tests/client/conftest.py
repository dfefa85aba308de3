"""The site that the client suite talks to: every kind of deployment, or one that runs already.

`CLIENT_URL` names a running one, with `CLIENT_SECRET` and, where public files are not under `CLIENT_URL/active`,
`CLIENT_PUBLIC_URL`.
"""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from tests.client.site import Site
from tests.support.deployment import APART, KINDS, SECRET, Deployment

_RUNNING = "CLIENT_URL" in os.environ


@pytest.fixture(params=["running"] if _RUNNING else [*KINDS, APART])
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    async with aiohttp.ClientSession() as http:
        if _RUNNING:
            url = os.environ["CLIENT_URL"].rstrip("/")
            public = os.environ.get("CLIENT_PUBLIC_URL", f"{url}/active").rstrip("/")
            yield Site(http, url, public, os.environ["CLIENT_SECRET"])
            return
        settings = {"ROUTE_PREFIX": "/images", "GENERATE_WEBP": "1"}
        async with Deployment.prepared(request.param, tmp_path, **settings) as deployment:
            await deployment.start()
            async with deployment.one_address() as url:
                public = deployment.public_url("") if deployment.s3 else f"{url}/active"
                yield Site(http, url, public.rstrip("/"), SECRET)
