"""The descriptions as pages, in a real browser."""

from pathlib import Path

import pytest
from axe_core_python.base import AXE_SCRIPT
from tests.client.site import Site
from tests.support.devtools import browser_page

_FIND = "document.querySelector('#operations-service-ping {}')"


async def test_the_page_sends_requests(site: Site, tmp_path: Path) -> None:
    async with browser_page(tmp_path) as page:
        await page.open(f"{site.url}/docs")
        await page.until("document.querySelectorAll('.opblock').length > 10")
        for what in (".opblock-summary-control", ".try-out__btn", ".execute"):
            await page.until(f"{_FIND.format(what)} !== null")
            await page.evaluate(f"{_FIND.format(what)}.click()")
        await page.until(f"{_FIND.format('.live-responses-table')} !== null")
        shown = await page.evaluate(f"{_FIND.format('.live-responses-table')}.textContent")
        assert "200" in shown
        assert "Pong!" in shown
        loaded = await page.evaluate("performance.getEntriesByType('resource').map((one) => one.name)")
        assert all(one.startswith((f"{site.url}/", "data:")) for one in loaded), "nothing of another host"
        assert page.complaints == []


@pytest.mark.parametrize("path", ["/docs", "/docs/events"])
async def test_what_the_pages_may_do(site: Site, path: str) -> None:
    async with site.http.get(f"{site.url}{path}") as answer:
        assert (answer.status, answer.content_type) == (200, "text/html")
        policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == "'self'"
    assert (await site.call("/docs/nothing.js", method="GET"))[0] == 404
    assert (await site.call("/docs/..%2Froutes.py", method="GET"))[0] == 404


async def test_the_events_can_be_read(site: Site, tmp_path: Path) -> None:
    async with browser_page(tmp_path) as page:
        await page.send("Page.setBypassCSP", enabled=True)  # axe-core is not the page's own
        await page.open(f"{site.url}/docs/events")
        text = await page.evaluate("document.body.innerText")
        for told in ("ThumbnailsActivated", "ImageUploaded.{lane}", "resizer.follow-up", "live | follow-up | bulk"):
            assert told in text
        links = await page.evaluate("[...document.querySelectorAll('nav a')].map((one) => one.href)")
        for link in links:
            async with site.http.get(link) as answer:
                assert answer.status == 200, link
        await page.evaluate(AXE_SCRIPT)
        found = await page.evaluate("axe.run().then(({violations}) => violations.map(({id}) => id))")
        assert found == []
        assert page.complaints == []
