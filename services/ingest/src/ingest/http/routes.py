"""The handlers of `POST /upload`, `GET /status/KEY`, `GET /events/KEY` and `GET /capabilities`."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

from common.errors import FailureClass, ImageError, StorageFault
from common.http import RequestRefused
from common.http.bodies import BodyLimits
from common.images.names import BadName, ImageKey
from common.images.plan import Plan
from common.storage.base import Buckets
from ingest.accept import UploadContext, accept_upload
from ingest.http.receive import receive_file
from ingest.http.upload_budget import UploadBudget
from ingest.status import Status, read_status
from ingest.streams import StatusStreams

_MOST_STREAMS = 1000
_MOST_STREAMS_OF_ONE_IMAGE = 50
LONGEST_STREAM = 3600.0  # seconds; a browser then reconnects by itself
_SETTLED = "settled"


def upload_route(context: UploadContext, limits: BodyLimits, folder: Path) -> Handler:
    """The handler of `POST /upload`: 200 with the new key once the original is stored."""
    budget = UploadBudget(folder, limits.bytes)

    async def upload(request: web.Request) -> web.Response:
        async with receive_file(request, limits, budget) as path:
            try:
                key = await accept_upload(path, context=context)
            except ImageError as error:
                status = 413 if error.fault is FailureClass.TOO_LARGE else 400
                raise RequestRefused(status, f"the image is refused: {error.reason}") from error
        request["image"] = str(key)
        return web.json_response({"success": True, "filename": str(key)})

    return upload


def status_route(buckets: Buckets, plan: Plan) -> Handler:
    """The handler of `GET /status/KEY`: 200 for every key, also for one that is unknown."""

    async def status(request: web.Request) -> web.Response:
        found = await read_status(_image(request), buckets=buckets, plan=plan)
        return web.Response(text=_json(found), content_type="application/json", headers={"Cache-Control": "no-store"})

    return status


def events_route(streams: StatusStreams) -> Handler:
    """The handler of `GET /events/KEY`: the status as server-sent events, until it is settled."""

    async def events(request: web.Request) -> web.StreamResponse:
        image = _image(request)
        if request.headers.get("Last-Event-ID") == _SETTLED:
            return web.Response(status=204)  # tells the browser not to reconnect
        if streams.count >= _MOST_STREAMS or streams.count_of(image) >= _MOST_STREAMS_OF_ONE_IMAGE:
            raise RequestRefused(503, "too many streams are open here: ask for the status instead, or try again")
        stream = web.StreamResponse(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        stream.content_type = "text/event-stream"
        await stream.prepare(request)
        try:
            async with asyncio.timeout(LONGEST_STREAM):
                await _send_statuses(image, stream, streams)
        except (TimeoutError, StorageFault, ConnectionError):
            stream.force_close()  # the browser reconnects
        return stream

    return events


async def _send_statuses(image: ImageKey, stream: web.StreamResponse, streams: StatusStreams) -> None:
    async with aclosing(streams.follow(image)) as statuses:  # also when a write fails
        async for status in statuses:
            if status is None:
                await stream.write(b": still there\n\n")
                continue
            event_id = f"id: {_SETTLED}\n" if status.settled else ""
            await stream.write(f"{event_id}event: status\ndata: {_json(status)}\n\n".encode())
    await stream.write_eof()


def capabilities_route(capabilities: Callable[[], Awaitable[dict[str, object]]]) -> Handler:
    """The handler of `GET /capabilities`: the formats that work, the limits and the sizes."""

    async def answer(_: web.Request) -> web.Response:
        return web.json_response(await capabilities())

    return answer


def _image(request: web.Request) -> ImageKey:
    try:
        return ImageKey.parse(request.match_info["key"])
    except BadName as error:
        raise RequestRefused(400, str(error)) from error


def _json(status: Status) -> str:
    return status.model_dump_json(exclude_none=True)
