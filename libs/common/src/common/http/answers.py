"""Error responses in JSON."""

from http import HTTPStatus

from aiohttp import web

from common import tracing

RETRY_HEADERS = {"Retry-After": "5"}  # seconds
_TRY_AGAIN = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


def error_response(status: int, message: str) -> web.Response:
    """An ErrorAnswer as clients get it. `Retry-After` says when to repeat a request that may succeed later.

    Where requests are traced, it names the trace.
    """
    headers = {}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="image-backend"'
    if status in _TRY_AGAIN:
        headers |= RETRY_HEADERS
    # Not by the model: it takes no lone surrogates, and an error may repeat what a client has sent.
    body: dict[str, object] = {"success": False, "error": message}
    if (trace_id := tracing.trace_id()) is not None:
        body["trace_id"] = trace_id
    answer = web.json_response(body, status=status, headers=headers)
    if status == HTTPStatus.REQUEST_TIMEOUT:
        answer.force_close()  # the rest of the body may still come, or not
    return answer
