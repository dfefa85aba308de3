"""A page of the site uploads ten photos with a real browser, and one of them is broken."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from tests.client.site import Site
from tests.client.test_browser import told
from tests.support.deployment import PYTHON, SECRET, Deployment, keys


@pytest.fixture(params=["embedded", "rabbit-local"])
async def deployment(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Deployment]:
    async with Deployment.prepared(request.param, tmp_path, ROUTE_PREFIX="/images", UPLOAD_WAIT="50") as prepared:
        prepared.python = PYTHON
        await prepared.start()
        yield prepared


async def test_the_broken_one_fails_alone_and_at_its_upload(deployment: Deployment, tmp_path: Path) -> None:
    """The site's API server publishes all of them together, and takes none of them when one fails then."""
    async with aiohttp.ClientSession() as http, deployment.one_address() as url:
        site = Site(http, url, f"{url}/active", SECRET)
        found = await told("photos.html", site, tmp_path)
        broken, others = found["broken"], found["others"]
        assert broken["status"] == 400
        assert broken["body"]["error"].startswith("the image is refused: ")
        assert [upload["status"] for upload in others] == [200] * 9
        assert {upload["progress"][-1] for upload in (broken, *others)} == {1}
        requests = [line for line in deployment.processes[deployment.program("ingest")].lines() if "method" in line]
        assert {line["method"] for line in requests if line["path"] == "/images/upload"} == {"OPTIONS", "POST"}

        names = [upload["body"]["filename"] for upload in others]
        stems = tuple(name[:-4] for name in names)
        stored = {key for key in await keys(deployment.buckets.incoming) if key[0].isdigit()}
        assert {key for key in stored if not key.startswith(stems)} == set(), "nothing of the broken one stays"
        for name in names:
            await site.done("/publish", filename=name)
        variants = {f"{stem}{suffix}.jpg" for stem in stems for suffix in ("BI", "MI", "SI")}
        assert await site.visible(*names, *variants) == {*names, *variants}
