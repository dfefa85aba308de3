"""`GET /docs` and `/docs/events`: the descriptions as pages, with the viewer's files below `/docs/`.

The viewer is Swagger UI, from a package. A browser lets the pages load and call nothing but this service.
"""

from pathlib import Path

from aiohttp import hdrs, web
from swagger_ui_bundle import swagger_ui_path

from common.http.api.common_calls import DOCS, DOCS_EVENTS, DOCS_FILE
from common.http.api.operation import Route
from common.http.bodies import RequestRefused
from common.http.docs.events_page import events_page

PAGES = Path(__file__).parent / "pages"
_TYPES = {".css": "text/css", ".html": "text/html", ".js": "text/javascript"}
_FILES = {name: PAGES / name for name in ("docs.css", "docs.js")} | {
    name: swagger_ui_path / name for name in ("swagger-ui-bundle.js", "swagger-ui.css")
}
# Swagger UI writes styles into its elements, and its style sheet holds pictures.
_HEADERS = {
    hdrs.CACHE_CONTROL: "no-cache",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; img-src 'self' "
        "data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def docs_routes() -> list[Route]:
    """The pages and their files."""
    return [Route(DOCS, _docs), Route(DOCS_EVENTS, _events), Route(DOCS_FILE, _docs_file)]


async def _docs(_: web.Request) -> web.StreamResponse:
    return _sent(PAGES / "docs.html")


async def _events(_: web.Request) -> web.Response:
    return web.Response(text=events_page(), content_type="text/html", headers=_HEADERS)


async def _docs_file(request: web.Request) -> web.StreamResponse:
    name = request.match_info["file"]
    if name not in _FILES:
        raise RequestRefused(404, f"the pages have no file {name!r}: expected {', '.join(_FILES)}")
    return _sent(_FILES[name])


def _sent(path: Path) -> web.FileResponse:
    return web.FileResponse(path, headers={**_HEADERS, hdrs.CONTENT_TYPE: f"{_TYPES[path.suffix]}; charset=utf-8"})
