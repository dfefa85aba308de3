"""Cross-origin requests: which pages may call, and the preflight request."""

from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

ALLOWED_METHODS = "GET, POST, OPTIONS"
_PREFLIGHT_SECONDS = "86400"


def cors(origins: tuple[str, ...]) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """A hook that adds the headers that let pages of `origins` (of all, for `*`) read a response."""

    async def allow(request: web.Request, response: web.StreamResponse) -> None:
        origin = request.headers.get(hdrs.ORIGIN)
        if "*" not in origins:
            response.headers[hdrs.VARY] = hdrs.ORIGIN
        if origin is None or not {"*", origin} & set(origins):
            return
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = "*" if "*" in origins else origin
        response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = f"{hdrs.RETRY_AFTER}, Preference-Applied"
        if _is_preflight(request):
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = ALLOWED_METHODS
            response.headers[hdrs.ACCESS_CONTROL_MAX_AGE] = _PREFLIGHT_SECONDS
            wanted = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS)
            if wanted:
                response.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = wanted

    return allow


@web.middleware
async def preflight(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Middleware that answers preflight requests."""
    return web.Response(status=204) if _is_preflight(request) else await handler(request)


def _is_preflight(request: web.Request) -> bool:
    names = (hdrs.ORIGIN, hdrs.ACCESS_CONTROL_REQUEST_METHOD)
    return request.method == hdrs.METH_OPTIONS and all(name in request.headers for name in names)
