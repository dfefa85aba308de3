"""Reading the fields of a request's body, in any of the three forms that clients use."""

import json
from collections.abc import AsyncIterator, Iterable

from aiohttp import web

from common.http.bodies import BodyLimits, RequestRefused, begin_body, enforce_limits, multipart_parts, part_chunks

# For everything but uploads.
LIMITS = BodyLimits(bytes=64 * 1024, seconds=30, idle_seconds=10)
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


async def read_fields(request: web.Request) -> dict[str, object]:
    """The fields of a form-encoded, multipart or JSON body; one that is sent twice is a list. Raises RequestRefused."""
    async with enforce_limits(LIMITS):
        if request.content_type == "application/json":
            await begin_body(request, LIMITS)
            return _json(await request.read())
        if request.content_type == "multipart/form-data":
            return _form([field async for field in _multipart(request)])
        if request.content_type == "application/x-www-form-urlencoded" or not request.can_read_body:
            await begin_body(request, LIMITS)
            return _form((await request.post()).items())
    raise RequestRefused(
        400, f"a body of type {request.content_type}: expected application/json, {' or '.join(_FORMS)}"
    )


def _json(text: bytes) -> dict[str, object]:
    try:
        body = json.loads(text)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestRefused(400, f"the body is not JSON: {error}") from error
    except ValueError as error:
        raise RequestRefused(400, "the body is not JSON: a number is too long") from error
    if not isinstance(body, dict):
        raise RequestRefused(400, f"the body is a JSON {type(body).__name__}: expected an object")
    return body


async def _multipart(request: web.Request) -> AsyncIterator[tuple[str, str]]:
    async for part in multipart_parts(request, LIMITS):
        if part.name is None:
            raise RequestRefused(400, "a multipart body with a part that has no name: expected form fields")
        value = bytearray()
        async for chunk in part_chunks(part, LIMITS):
            value += chunk
        yield part.name, value.decode()


def _form(values: Iterable[tuple[str, object]]) -> dict[str, object]:
    form: dict[str, object] = {}
    for key, value in values:
        if key not in form:
            form[key] = value
        elif isinstance(present := form[key], list):
            present.append(value)
        else:
            form[key] = [present, value]
    return form
