"""What becomes of an upload, and how its files and the endpoints are served, on the embedded default."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.deployment import Deployment, watched
from tests.support.exiftool import locations, tags
from tests.support.located import located
from tests.support.pictures import SVG, dimensions, opened, photo


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    async with watched(tmp_path) as prepared:
        yield prepared


async def test_the_format_is_what_the_bytes_say(deployment: Deployment) -> None:
    await deployment.start()
    status, body = await deployment.upload(photo(300, 200), "innocent.png")
    assert status == 200
    assert body["filename"].endswith(".jpg")
    status, body = await deployment.upload(b"\xef\xbb\xbf<?xml version='1.0'?><!-- a map -->\n" + SVG, "x.jpg")
    assert status == 200
    assert body["filename"].endswith(".svg")
    comment = b"<!-- " + b"a long licence " * 1000 + b"-->"
    subset = b'<!DOCTYPE svg [ <!ENTITY e "]>"> <!-- ]> --> ]>'
    for svg in (comment + SVG, subset + SVG, SVG.decode().encode("utf-16")):
        status, body = await deployment.upload(svg)
        assert status == 200, (svg[:60], body)
        assert body["filename"].endswith(".svg")
    for data in (
        b"%PDF-1.4",
        b"II*\0",
        b"<html><svg/></html>",
        b"<?xml version='1.0'?><html/>",
        b"RIFF\0\0\0\0WEBP",
        b"\x1f\x8b\x08" + bytes(50),
    ):
        assert (await deployment.upload(data, "photo.jpg"))[0] == 400


async def test_an_svg_may_have_16_mib(deployment: Deployment) -> None:
    await deployment.start()
    line = b"<!-- a map -->\n"
    lines, rest = divmod((16 << 20) - len(SVG), len(line))
    largest = SVG + line * lines + b"\n" * rest
    assert (await deployment.upload(largest))[0] == 200
    status, body = await deployment.upload(largest + b" ")
    assert status == 413
    assert "16 MiB" in body["error"]


async def test_an_svg_cannot_read_files_nor_the_net(deployment: Deployment, tmp_path: Path) -> None:
    await deployment.start()
    secret = tmp_path / "secret.png"
    secret.write_bytes(opened(photo(300, 200)).pngsave_buffer())
    links = "".join(
        f'<image href="{target}" width="300" height="200"/>' for target in (secret, f"file://{secret}", "secret.png")
    )
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="300" height="200">{links}</svg>'
    name = await deployment.uploaded(svg.encode())
    await deployment.wait_for(deployment.buckets.incoming, f"{name[:-4]}.json")
    drawn = opened(await deployment.buckets.incoming.get(f"{name[:-4]}BI.jpg"))
    assert drawn.min() > 250, "all white: nothing was read"


@pytest.mark.parametrize(("setting", "upright"), [("1", True), ("", False)])
async def test_originals_are_turned_upright_when_asked_for(
    deployment: Deployment,
    setting: str,
    upright: bool,  # noqa: FBT001
) -> None:
    await deployment.start(AUTO_ORIENT_ORIGINAL=setting)
    plain, sideways = photo(600, 400), photo(600, 400, 6)
    names = [await deployment.uploaded(data) for data in (plain, sideways)]
    assert await deployment.buckets.incoming.get(names[0]) == plain, "nothing to turn, so nothing is changed"
    stored = await deployment.buckets.incoming.get(names[1])
    assert (stored == sideways) is not upright
    if upright:
        image = opened(stored)
        assert dimensions(stored) == (400, 600)
        assert image.get("orientation") == 1 if image.get_typeof("orientation") else True
        assert "Camera of the tests" in image.get("exif-ifd0-Model"), "the metadata is kept"
        assert image.getpoint(390, 10)[0] > 200
    await deployment.wait_for(deployment.buckets.incoming, f"{names[1][:-4]}.json")
    assert dimensions(await deployment.buckets.incoming.get(f"{names[1][:-4]}MI.jpg")) == (267, 400)


@pytest.mark.parametrize(("setting", "told"), [("1", False), ("", True)])
async def test_originals_keep_their_location_unless_told_otherwise(
    deployment: Deployment,
    setting: str,
    told: bool,  # noqa: FBT001
) -> None:
    await deployment.start(STRIP_LOCATION=setting)
    sent = located(photo(600, 400))
    name = await deployment.uploaded(sent)
    stored = await deployment.buckets.incoming.get(name)
    (found,) = tags(stored)
    assert bool(locations(found)) is told
    assert (stored == sent) is told
    await deployment.wait_for(deployment.buckets.incoming, f"{name[:-4]}.json")


async def test_pages_of_other_origins(deployment: Deployment) -> None:
    await deployment.start(ALLOWED_ORIGINS="https://site.example, https://other.example/")
    url = f"{deployment.url('ingest')}/upload"
    asks = {"Origin": "https://site.example", "Access-Control-Request-Method": "POST"}
    async with deployment.http.options(url, headers=asks) as answer:
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Origin"] == "https://site.example"
        assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    async with deployment.http.post(url, headers={"Origin": "https://other.example"}) as answer:
        assert answer.status == 400
        assert answer.headers["Access-Control-Allow-Origin"] == "https://other.example", "errors can be read too"
    async with deployment.http.post(url, headers={"Origin": "https://evil.example"}) as answer:
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert answer.headers["Vary"] == "Origin"


async def test_the_route_prefix_and_the_common_routes(deployment: Deployment) -> None:
    await deployment.launch("standalone", ROUTE_PREFIX="images", METRICS_PATH="/numbers")
    process = deployment.processes["standalone"]
    process.url += "/images"
    await deployment.wait_ready(process)
    name = await deployment.uploaded(photo(300, 200))
    assert (await deployment.publish(name))[0] == 200
    assert (await deployment.public(name))[0] == 200
    async with deployment.http.get(f"{process.url}/ping") as answer:
        assert (answer.status, await answer.text()) == (200, "Pong!")
    async with deployment.http.get(f"{process.url}/livez") as answer:
        assert answer.status == 200
    async with deployment.http.get(process.url.replace("/images", "/ping")) as answer:
        assert answer.status == 404
    async with deployment.http.get(f"{process.url}/numbers") as answer:
        assert answer.status == 404, "metrics have a port of their own"
    async with deployment.http.get(f"http://127.0.0.1:{process.metrics_port}/numbers") as answer:
        assert 'image_backend_http_requests_total{method="POST"' in await answer.text()


async def test_public_files_cannot_harm_the_site(deployment: Deployment) -> None:
    await deployment.start(CACHE_CONTROL="public, max-age=99")
    name = await deployment.uploaded(SVG)
    assert (await deployment.publish(name))[0] == 200
    url = f"{deployment.url('publisher')}/active"
    async with deployment.http.get(f"{url}/{name}") as answer:
        assert answer.headers["Content-Type"] == "image/svg+xml"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Content-Disposition"] == "attachment"
        assert answer.headers["Cache-Control"] == "public, max-age=99"
    for key in ("..%2Fincoming%2Fx", ".tmp", "x.jpg", "1475660224_1.jpg", "1475660224_1.exe", "%00", "a" * 3000):
        async with deployment.http.get(f"{url}/{key}") as answer:
            assert answer.status == 404, key
