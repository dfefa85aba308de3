"""Bodies in and out: requests in any of the three forms that clients use, answers in JSON."""

import json
from json import JSONDecodeError

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.multipart import BodyPartReader

# What aiohttp's multipart reader raises on bytes that are no multipart body.
MALFORMED = (ValueError, AssertionError, KeyError, RuntimeError, HttpProcessingError, web.RequestPayloadError)

MAX_BODY = 64 * 1024  # bytes; for everything but uploads
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


class Refused(Exception):
    """The request ends with this status, and this message for whoever sent it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def failure(status: int, message: str) -> web.Response:
    """An error as clients get it."""
    return web.json_response({"success": False, "error": message}, status=status)


async def fields(request: web.Request) -> dict[str, object]:
    """The fields of a form-encoded, multipart or JSON body. A field that stands twice is a list. Raises Refused."""
    if request.content_type == "application/json":
        return await _json(request)
    if request.content_type == "multipart/form-data":
        return await _multipart(request)
    if request.content_type == "application/x-www-form-urlencoded" or not request.can_read_body:
        return _form(await request.post())
    raise Refused(400, f"a body of type {request.content_type}: expected application/json, {' or '.join(_FORMS)}")


async def _json(request: web.Request) -> dict[str, object]:
    try:
        body = json.loads(await request.read())
    except (JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(400, f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise Refused(400, f"the body is a JSON {type(body).__name__}: expected an object")
    return body


async def _multipart(request: web.Request) -> dict[str, object]:
    form: dict[str, object] = {}
    size = 0
    try:
        reader = await request.multipart()
        while (part := await reader.next()) is not None:
            if not isinstance(part, BodyPartReader) or part.name is None:
                raise Refused(400, "a multipart body with a part that has no name: expected form fields")
            value = bytearray()
            while chunk := await part.read_chunk():
                size += len(chunk)
                if size > MAX_BODY:
                    raise Refused(413, f"the body is larger than {MAX_BODY} bytes")
                value += chunk
            _add(form, part.name, value.decode())
    except MALFORMED as error:
        raise Refused(400, f"the multipart body cannot be read: {error}") from error
    return form


def _form(values: object) -> dict[str, object]:
    form: dict[str, object] = {}
    for key, value in values.items():  # type: ignore[attr-defined]
        _add(form, key, value)
    return form


def _add(form: dict[str, object], key: str, value: object) -> None:
    if key not in form:
        form[key] = value
    elif isinstance(present := form[key], list):
        present.append(value)
    else:
        form[key] = [present, value]
