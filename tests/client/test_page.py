"""The page at `/`, in a real browser: what a person does there, and sees."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from axe_core_python.base import AXE_SCRIPT
from tests.client.site import Site
from tests.support.deployment import Deployment, keys, watched
from tests.support.devtools import BrowserPage, browser_page
from tests.support.pictures import photo
from tests.support.proxy import Proxy

_MARKUP = "<img src=x onerror='window.stolen=1'>.jpg"


@asynccontextmanager
async def opened(url: str, folder: Path) -> AsyncIterator[BrowserPage]:
    """The page, which has to be the one at this address; in the end it has broken none of its own rules."""
    async with browser_page(folder) as page:
        await page.open(f"{url}/")
        await page.evaluate(
            "window.heard = []; new MutationObserver(() => heard.push(document.getElementById('news').textContent))"
            ".observe(document.getElementById('news'), {childList: true})"
        )
        yield page
        assert [one for one in page.complaints if "Content Security Policy" in one or "exception" in one] == []


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    async with watched(tmp_path, GENERATE_WEBP="1") as prepared:
        await prepared.start()
        yield prepared


def made(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


async def seen(page: BrowserPage, state: str, number: int = 1) -> None:
    await page.until(f"document.querySelectorAll('.card[data-state={state}]').length === {number}")


async def press(page: BrowserPage, button: str) -> None:
    """Press a button of the only card with the keyboard."""
    selector = f'.card button[aria-label^="{button}: "]:not([hidden])'
    await page.until(
        f"(() => {{ const one = document.querySelector({json.dumps(selector)});"
        " one?.focus(); return one !== null && document.activeElement === one; })()"
    )
    await page.press("Enter")


async def text(page: BrowserPage, selector: str) -> str:
    found: str = await page.evaluate(f"document.querySelector({json.dumps(selector)}).textContent")
    return found


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
        await page.until("document.querySelector('.message').textContent.includes('secret')")
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
        await page.drop("#drop", made(tmp_path, "mountain.jpg", photo(1600, 1200)))
        await page.until("document.getElementById('activity').textContent.endsWith('0.1 photos a second')")
        assert await text(page, "#activity-news") == "The service is rendering."
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


async def test_what_is_no_photo_with_its_reason_and_a_name_that_is_markup(
    deployment: Deployment, tmp_path: Path
) -> None:
    async with opened(deployment.url("ingest"), tmp_path) as page:
        await page.drop("#drop", made(tmp_path, _MARKUP, b"This is a text."))
        await seen(page, "refused")
        assert await text(page, ".card h3") == _MARKUP
        assert "not a JPEG, PNG, GIF or SVG image" in await text(page, ".message")
        assert await page.evaluate("[document.querySelectorAll('h3 *').length, window.stolen ?? null]") == [0, None]
        await press(page, "Dismiss")
        await page.until("document.querySelectorAll('.card').length === 0")


async def test_a_photo_that_is_damaged_with_its_reason(deployment: Deployment, tmp_path: Path) -> None:
    async with opened(deployment.url("ingest"), tmp_path) as page:
        cut_off = photo(1600, 1200)[:700]  # its header says what it is, and nothing of the picture is there
        await page.drop("#drop", made(tmp_path, "damaged.jpg", cut_off))
        await page.until("document.querySelector('.card:is([data-state=failed], [data-state=refused])') !== null")
        assert "missing SOS marker" in await text(page, ".message")


async def test_a_connection_that_is_lost_in_mid_upload(deployment: Deployment, tmp_path: Path) -> None:
    host, _, port = deployment.url("ingest").removeprefix("http://").partition(":")
    async with Proxy.to(host, int(port)) as proxy, opened(f"http://127.0.0.1:{proxy.port}", tmp_path) as page:
        # On each of the six connections that it may have used before, the browser repeats the request by itself.
        proxy.break_after(500_000, 8, answers=False)
        await page.drop("#drop", made(tmp_path, "mountain.jpg", photo(4000, 3000)))
        await seen(page, "ready")
        heard = await page.evaluate("heard")
        assert any("the connection was lost. It is sent again in" in one for one in heard), heard
    originals = {key for key in await keys(deployment.buckets.incoming) if key.endswith(".jpg") and key[-5].isdigit()}
    assert len(originals) == 1


async def test_an_event_stream_that_goes_silent(deployment: Deployment, tmp_path: Path) -> None:
    host, _, port = deployment.url("ingest").removeprefix("http://").partition(":")
    async with Proxy.to(host, int(port)) as proxy, opened(f"http://127.0.0.1:{proxy.port}", tmp_path) as page:
        await page.drop("#drop", made(tmp_path, "mountain.jpg", photo(1600, 1200)))
        await seen(page, "ready")
        proxy.swallow(b"GET /events/")  # neither end hears that nothing passes any more
        assert (await deployment.publish(await text(page, ".card code")))[0] == 200
        await seen(page, "active")


async def test_a_file_that_is_too_large_is_not_sent_again(tmp_path: Path) -> None:
    async with watched(tmp_path, MAX_UPLOAD_BYTES="1000000") as deployment:
        await deployment.start()
        async with opened(deployment.url("ingest"), tmp_path) as page:
            await page.until("document.getElementById('accepted').textContent.includes('1 MB')")
            await page.drop("#drop", made(tmp_path, "mountain.jpg", photo(4000, 3000)))
            await seen(page, "refused")
            assert "expected 1000000 at most" in await text(page, ".message")
            refusal = await page.evaluate(
                "import('/page/image-backend.js').then(({ImageBackend}) => new ImageBackend('/')"
                ".upload(new Blob([new Uint8Array(30e6)]), {retries: 0}))"
                ".catch(({name, status}) => [name, status])"
            )
            assert refusal == ["Refused", 413]


async def test_where_no_event_stream_is_to_be_had(tmp_path: Path) -> None:
    settings = {"TRUSTED_PROXIES": "192.0.2.1", "CLIENT_STREAMS": "1"}
    async with watched(tmp_path, **settings) as deployment:
        await deployment.start()
        url = deployment.url("ingest")
        held = await deployment.uploaded(photo(300, 200))
        async with deployment.http.get(f"{url}/events/{held}") as stream, opened(url, tmp_path) as page:
            assert stream.status == 200
            await page.drop("#drop", made(tmp_path, "mountain.jpg", photo(1600, 1200)))
            await seen(page, "ready")
            assert any("429" in one for one in page.complaints), page.complaints


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


async def test_an_image_of_an_old_backend_has_nothing_to_compare(deployment: Deployment, tmp_path: Path) -> None:
    for key in ("1475660224_1.jpg", "1475660224_1BI.jpg"):
        await deployment.buckets.active.put(key, photo(300, 200))
    async with opened(deployment.url("ingest"), tmp_path) as page:
        await page.open(f"{deployment.url('ingest')}/#1475660224_1.jpg")
        await seen(page, "active")
        assert await page.evaluate(
            "[...document.querySelectorAll('.card button:not([hidden])')].map((one) => one.textContent)"
        ) == ["Rotate", "Delete"]


_BROKEN_ANSWERS = """(async () => {
  const { ImageBackend } = await import("/page/image-backend.js");
  const backend = new ImageBackend(location.origin);
  const real = { fetch: window.fetch, request: window.XMLHttpRequest };
  const ended = (promise) => promise.then((value) => [value], (error) => [error.name, error.status, error.message]);
  window.fetch = async () => new Response('{"key": ', { status: 200 });
  const status = await ended(backend.status("1475660224_1.jpg"));
  const stopped = new AbortController();
  stopped.abort(new TypeError("enough"));
  const aborted = await ended(backend.status("1475660224_1.jpg", stopped.signal));
  window.fetch = async () => new Response("<html>", { status: 503 });
  const away = await ended(backend.status("1475660224_1.jpg"));
  window.fetch = real.fetch;
  const uploads = [];
  for (const answer of ["<html>", "{}"]) {
    window.XMLHttpRequest = class extends real.request {
      get status() { return 200; }
      get responseText() { return answer; }
    };
    uploads.push(await ended(backend.upload(new Blob(["x"]))));
  }
  window.XMLHttpRequest = real.request;
  return [status, aborted, away, ...uploads];
})()"""


async def test_answers_that_are_cut_off_or_somebody_else_s(deployment: Deployment, tmp_path: Path) -> None:
    async with opened(deployment.url("ingest"), tmp_path) as page:
        status, aborted, away, *uploads = await page.evaluate(_BROKEN_ANSWERS)
        assert status == ["Refused", 0, "the connection was lost"]
        assert aborted == ["TypeError", None, "enough"]
        assert away == ["Refused", 503, "the server answered 503"]
        assert uploads == [["Refused", 200, "the server answered 200"]] * 2


async def test_where_nobody_asked_for_the_page_there_is_none(tmp_path: Path) -> None:
    async with Deployment.prepared("rabbit-local", tmp_path) as deployment:
        await deployment.start("ingest")
        for path in ("/", "/page/page.js", "/page/image-backend.js", "/page/activity"):
            async with deployment.http.get(f"{deployment.url('ingest')}{path}") as answer:
                assert answer.status == 404, path
