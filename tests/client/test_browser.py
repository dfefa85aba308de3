"""A real browser on a page of another origin: it uploads, follows the image, and shows its thumbnails."""

import asyncio
import json
from pathlib import Path
from typing import Any

from aiohttp import web
from tests.client.site import Site
from tests.support.browser import page
from tests.support.pictures import photo

_FOLDER = Path(__file__).parent
_START_SECONDS = 120.0  # a browser takes some to start, and the machine may be busy


async def told(name: str, site: Site, tmp_path: Path, *routes: web.RouteDef) -> dict[str, Any]:
    """What the page of that name tells its own server, which is of another origin than the image backend."""
    telling: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    async def show(_: web.Request) -> web.Response:
        return web.Response(text=(_FOLDER / name).read_text(), content_type="text/html")

    async def picture(_: web.Request) -> web.Response:
        return web.Response(body=photo(), content_type="image/jpeg")

    async def tell(request: web.Request) -> web.Response:
        telling.set_result(json.loads(await request.text()))
        return web.Response()

    app = web.Application()
    app.add_routes([web.get("/", show), web.get("/photo.jpg", picture), web.post("/tell", tell), *routes])
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        server = web.TCPSite(runner, "127.0.0.1", 0)
        await server.start()
        async with page(f"http://127.0.0.1:{runner.addresses[0][1]}/?base={site.url}", tmp_path):
            async with asyncio.timeout(_START_SECONDS):
                found = await telling
    finally:
        await runner.cleanup()
    assert found.get("error") is None, found
    return found


async def test_a_browser_uploads_follows_and_shows(site: Site, tmp_path: Path) -> None:
    async def activate(request: web.Request) -> web.Response:
        """The page's own server knows the secret."""
        await site.done("/publish", filename=await request.text())
        return web.Response()

    async def public(_: web.Request) -> web.Response:
        return web.json_response({"url": site.public})

    found = await told("page.html", site, tmp_path, web.post("/activate", activate), web.get("/public", public))
    assert found["states"][-1] == "active"
    assert found["sizes"] == [[1500, 1125], [400, 300], [200, 200]]


async def test_a_browser_asks_beforehand_as_the_site_s_pages_have_it_ask(site: Site, tmp_path: Path) -> None:
    """They send their user's token along, which is not for us, and show how far the upload is."""
    found = await told("upload.html", site, tmp_path)
    assert (found["upload"]["status"], found["upload"]["body"]["success"]) == (200, True)
    assert found["upload"]["progress"][-1] == 1
    assert (await site.status(found["upload"]["body"]["filename"]))["state"] in ("processing", "ready")
    assert found["json"]["status"] == 401, "a type that is none of a form's is asked for, too"
    assert "no secret" in found["json"]["body"]["error"]
