"""The page at `/`, in a real browser: what a person does there, and sees."""

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from axe_core_python.base import AXE_SCRIPT
from tests.client.page import made, opened, press, seen, text
from tests.client.site import Site
from tests.support.deployment import Deployment
from tests.support.devtools import BrowserPage, browser_page
from tests.support.pictures import photo


async def test_from_the_drop_to_the_deletion(site: Site, tmp_path: Path) -> None:
    async with opened(site.url, tmp_path) as page:
        await page.drop("#drop", made(tmp_path, "mountain.jpg", photo(1600, 1200)))
        await seen(page, "ready")
        await page.until("document.querySelectorAll('.card tbody td').length === 6")
        name = await text(page, ".card code")
        assert (await site.status(name))["state"] == "ready"
        assert "1600 × 1200" in await text(page, ".card .key")
        assert "1500 × 1125" in await text(page, ".card tbody tr")
        assert await page.evaluate("location.hash") == f"#{name}"

        await press(page, "Publish")
        assert "Type the secret first" in await text(page, ".message")
        assert await page.evaluate("document.activeElement.id") == "secret"
        await page.type("wrong")
        await press(page, "Publish")
        await page.until("document.querySelector('.message').textContent.includes('wrong secret')")
        assert await site.visible(name) == set()
        await page.evaluate("document.getElementById('secret').value = ''; document.getElementById('secret').focus()")
        await page.type(site.secret)
        await press(page, "Publish")
        await seen(page, "active")
        await page.until("document.querySelector('.picture img').naturalWidth === 400")

        await press(page, "Compare")
        await page.until("document.querySelector('dialog img').naturalWidth === 1500")
        await page.evaluate("document.querySelector('dialog input[name=format]').focus()")
        await page.press("ArrowRight")
        await page.until("document.querySelector('dialog img').src.endsWith('BI.webp')")
        await page.until("document.querySelector('dialog img').naturalWidth === 1500")
        await page.press("Escape")

        await press(page, "Rotate")
        await page.until(f"document.querySelector('.card code').textContent !== {json.dumps(name)}")
        await page.until("document.querySelector('.picture img').naturalWidth === 300")
        turned = await text(page, ".card code")
        assert await site.visible(name, turned) == {turned}

        await press(page, "Delete")
        await page.until("document.querySelectorAll('.card').length === 0")
        assert await page.evaluate("[document.activeElement.id, location.hash]") == ["choose", ""]
        assert (await site.status(turned))["state"] == "unknown"


async def test_it_says_what_happens_to_those_who_do_not_see_it(deployment: Deployment, tmp_path: Path) -> None:
    async with opened(deployment.url("ingest"), tmp_path) as page:
        await page.drop("#drop", made(tmp_path, "mountain.jpg", photo(1600, 1200)))
        await seen(page, "ready")
        heard: list[str] = await page.evaluate("heard")
        assert heard[-1] == "mountain.jpg: Ready, and private until it is published"


async def test_what_the_machine_is_doing(deployment: Deployment, tmp_path: Path) -> None:
    async with opened(deployment.url("ingest"), tmp_path) as page:
        idle = "0 of 4 decoders are busy · 0 renderings wait · 0 photos a second"
        await page.until(f"document.getElementById('activity').textContent === {json.dumps(idle)}")
        assert await text(page, "#activity-news") == ""
        # A photo is counted for seconds only: what was told is kept.
        await page.evaluate(
            "window.told = []; new MutationObserver(() => told.push("
            "['activity', 'activity-news'].map((id) => document.getElementById(id).textContent)))"
            ".observe(document.getElementById('activity'), {childList: true})"
        )
        await page.drop("#drop", made(tmp_path, "mountain.jpg", photo(1600, 1200)))
        while_busy = "told.find(([activity]) => activity.endsWith('0.1 photos a second'))"
        _, news = await page.until(while_busy)
        assert news == "The service is rendering."
        await page.until(f"document.getElementById('activity').textContent === {json.dumps(idle)}")
        assert await text(page, "#activity-news") == "The service has rendered everything."


async def test_what_the_machine_is_doing_is_told_in_numbers_alone(site: Site) -> None:
    status, found = await site.call("/page/activity", method="GET")
    assert status == 200
    assert set(found) == {"renderings_waiting", "decoders_busy", "decoders", "photos_per_second"}
    assert all(value is None or isinstance(value, int | float) for value in found.values())
    assert found["renderings_waiting"] is not None


async def test_a_phone_is_offered_its_camera(deployment: Deployment, tmp_path: Path) -> None:
    async with browser_page(tmp_path) as page:
        await page.show_as(390, 844)
        await page.send("Emulation.setTouchEmulationEnabled", enabled=True, maxTouchPoints=1)
        await page.open(f"{deployment.url('ingest')}/")
        await page.until("document.getElementById('camera').checkVisibility()")
        assert await text(page, "#drop-title") == "Add photos"
        assert await page.evaluate("document.getElementById('camera').getAttribute('capture')") == "environment"
        taken = await page.send("Runtime.evaluate", expression="document.getElementById('camera')")
        files = [str(made(tmp_path, "image.jpg", photo(1600, 1200)))]
        await page.send("DOM.setFileInputFiles", files=files, objectId=taken["result"]["objectId"])
        await seen(page, "ready")


async def test_a_photo_is_there_again_when_the_page_is_loaded_again(deployment: Deployment, tmp_path: Path) -> None:
    name = await deployment.uploaded(photo(1600, 1200))
    status = await _settled(deployment, name)
    async with opened(deployment.url("ingest"), tmp_path) as page:
        await page.open(f"{deployment.url('ingest')}/#{name},not-a-name,{name}")
        await page.evaluate("location.reload()")
        await seen(page, "ready")
        await page.until("document.querySelector('.placeholder').width > 1")
        mean = await page.evaluate(
            "(() => { const canvas = document.querySelector('.placeholder');"
            " const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);"
            " const sums = [0, 0, 0]; data.forEach((value, i) => { if (i % 4 < 3) sums[i % 4] += value; });"
            " return sums.map((sum) => sum / (canvas.width * canvas.height)); })()"
        )
        colour = status["records"]["base"]["colour"]
        average = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
        assert all(abs(one - other) < 8 for one, other in zip(mean, average, strict=True)), (mean, average)


async def _settled(deployment: Deployment, name: str) -> dict[str, Any]:
    await deployment.wait_for(deployment.buckets.incoming, f"{name[:-4]}.json")
    async with deployment.http.get(f"{deployment.url('ingest')}/status/{name}") as answer:
        found: dict[str, Any] = await answer.json()
        return found


async def test_an_image_of_an_old_backend_has_nothing_to_compare(deployment: Deployment, tmp_path: Path) -> None:
    for key in ("1475660224_1BI.jpg", "1475660224_1.jpg"):  # a public original without variants is rendered
        await deployment.buckets.active.put(key, photo(300, 200))
    async with opened(deployment.url("ingest"), tmp_path) as page:
        await page.open(f"{deployment.url('ingest')}/#1475660224_1.jpg")
        await seen(page, "active")
        assert await page.evaluate(
            "[...document.querySelectorAll('.card button:not([hidden])')].map((one) => one.textContent)"
        ) == ["Rotate", "Delete"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_nothing_bars_anybody(deployment: Deployment, tmp_path: Path, scheme: str) -> None:
    """axe-core finds nothing: contrast, labels, roles, order of headings and others."""
    public = await deployment.uploaded(photo(1600, 1200))
    assert (await deployment.publish(public))[0] == 200
    private = await deployment.uploaded(photo(900, 600))
    async with browser_page(tmp_path) as page:
        await page.show_as(1280, 1000, scheme)
        await page.send("Page.setBypassCSP", enabled=True)  # axe-core is not the page's own
        await page.open(f"{deployment.url('ingest')}/#{public},{private}")
        await page.drop("#drop", made(tmp_path, "text.jpg", b"This is a text."))
        for state in ("active", "ready", "refused"):
            await seen(page, state)
        await page.evaluate(AXE_SCRIPT)
        assert await _violations(page) == []
        await page.show_as(390, 844, scheme)
        assert await _violations(page) == []
        assert await page.evaluate("document.documentElement.scrollWidth") == 390, "nothing is wider than a phone"
        await page.until("document.querySelector('[data-state=active] table') !== null")
        await page.evaluate("document.querySelector('[data-state=active] button[aria-label^=Compare]').click()")
        await page.until("document.querySelector('dialog img').naturalWidth > 0")
        assert await _violations(page) == []


async def _violations(page: BrowserPage) -> list[Any]:
    await page.evaluate("Promise.all(document.getAnimations().map((one) => one.finished))")
    found: list[Any] = await page.evaluate(
        "axe.run().then(({violations, passes}) => [passes.length, ...violations.map(({id, nodes}) =>"
        " [id, ...nodes.map(({html, failureSummary}) => html + failureSummary)])])"
    )
    assert found[0] > 10, "rules that had something to look at"
    return found[1:]


async def test_what_the_page_may_do(site: Site) -> None:
    async with site.http.get(f"{site.url}/") as answer:
        assert (answer.status, answer.content_type) == (200, "text/html")
        _has_policy(answer, site)
        etag = answer.headers["ETag"]
    async with site.http.get(f"{site.url}/", headers={"If-None-Match": etag}) as answer:
        assert (answer.status, await answer.read()) == (304, b"")
    for name, kind in (
        ("page.js", "text/javascript"),
        ("image-backend.js", "text/javascript"),
        ("page.css", "text/css"),
    ):
        async with site.http.get(f"{site.url}/page/{name}") as answer:
            assert (answer.status, answer.content_type) == (200, kind)
            assert answer.headers["Cache-Control"] == "no-cache"
            _has_policy(answer, site)
    for path in ("/page/index.html", "/page/nothing.js", "/page/..%2Fsettings.py", "/page/"):
        assert (await site.call(path, method="GET"))[0] == 404, path


def _has_policy(answer: aiohttp.ClientResponse, site: Site) -> None:
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
    elsewhere = "" if site.public.startswith(site.url) else f" http://{site.public.split('/')[2]}"
    images = policy["img-src"].replace("localhost", "127.0.0.1")  # one server has both names, in one of the deployments
    assert images == f"'self' blob:{elsewhere}".replace("localhost", "127.0.0.1")
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_where_nobody_asked_for_the_page_there_is_none(tmp_path: Path) -> None:
    async with Deployment.prepared("rabbit-local", tmp_path) as deployment:
        await deployment.start("ingest")
        for path in ("/", "/page/page.js", "/page/image-backend.js", "/page/activity"):
            async with deployment.http.get(f"{deployment.url('ingest')}{path}") as answer:
                assert answer.status == 404, path
