"""A real browser on a page of another origin: it uploads, follows the image, and shows its thumbnails."""

import asyncio
import json
from pathlib import Path
from typing import Any

from aiohttp import web
from tests.client.site import Site
from tests.support.browser import page
from tests.support.pictures import photo

_PAGE = Path(__file__).with_name("page.html")
_PATIENCE = 60.0  # seconds; a browser takes some to start


async def test_a_browser_uploads_follows_and_shows(site: Site, tmp_path: Path) -> None:
    told: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    async def show(_: web.Request) -> web.Response:
        return web.Response(text=_PAGE.read_text(), content_type="text/html")

    async def picture(_: web.Request) -> web.Response:
        return web.Response(body=photo(), content_type="image/jpeg")

    async def activate(request: web.Request) -> web.Response:
        """The page's own server knows the secret."""
        await site.done("/publish", filename=await request.text())
        return web.Response()

    async def public(_: web.Request) -> web.Response:
        return web.json_response({"url": site.public})

    async def tell(request: web.Request) -> web.Response:
        told.set_result(json.loads(await request.text()))
        return web.Response()

    app = web.Application()
    app.add_routes([web.get("/", show), web.get("/photo.jpg", picture), web.get("/public", public)])
    app.add_routes([web.post("/activate", activate), web.post("/tell", tell)])
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        server = web.TCPSite(runner, "127.0.0.1", 0)
        await server.start()
        async with page(f"http://127.0.0.1:{runner.addresses[0][1]}/?base={site.url}", tmp_path):
            async with asyncio.timeout(_PATIENCE):
                found = await told
    finally:
        await runner.cleanup()
    assert found.get("error") is None
    assert found["states"][-1] == "active"
    assert found["sizes"] == [[1500, 1125], [400, 300], [200, 200]]
