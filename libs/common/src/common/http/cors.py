"""Cross-origin requests: which pages may call, and the browser's question beforehand."""

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

ALLOWED_METHODS = "GET, POST, OPTIONS"
_PREFLIGHT_SECONDS = "86400"


def cors(origins: tuple[str, ...]) -> Middleware:
    """Middleware that lets pages of `origins` (or of all, for `*`) read the answers."""

    def allowed(origin: str) -> str | None:
        if "*" in origins:
            return "*"
        return origin if origin in origins else None

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get(hdrs.ORIGIN)
        asked = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_METHOD)
        preflight = origin is not None and asked is not None and request.method == hdrs.METH_OPTIONS
        response = web.Response(status=204) if preflight else await handler(request)
        if "*" not in origins:
            response.headers[hdrs.VARY] = hdrs.ORIGIN
        if origin is None or response.prepared or (allow := allowed(origin)) is None:
            return response
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = allow
        if preflight:
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = ALLOWED_METHODS
            response.headers[hdrs.ACCESS_CONTROL_MAX_AGE] = _PREFLIGHT_SECONDS
            wanted = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS)
            if wanted:
                response.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = wanted
        return response

    return answer
