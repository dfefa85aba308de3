"""The page at `/`, in a real browser: what can go wrong with a photo, and what the page says then."""

from pathlib import Path

from tests.client.page import made, opened, press, seen, text
from tests.support.deployment import Deployment, keys, watched
from tests.support.pictures import photo
from tests.support.proxy import Proxy

_MARKUP = "<img src=x onerror='window.stolen=1'>.jpg"


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
