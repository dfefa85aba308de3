"""The handlers of `POST /upload`, `GET /status/KEY`, `GET /events/KEY` and `GET /capabilities`."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

from common.errors import FailureClass, ImageError, StorageFault
from common.http import RequestRefused
from common.http.api.models import CapabilitiesAnswer, UploadAnswer
from common.http.bodies import BodyLimits
from common.http.preferences import RESPOND_ASYNC, WAIT, applied, preferences
from common.images.names import BadName, ImageKey
from common.images.plan import Plan
from common.storage.base import Buckets
from common.storage.status import Status, read_status
from ingest.accept import UploadContext, accept_upload, announced_format
from ingest.http.client_limits import ClientLimits
from ingest.http.counted import CountedUpload, counted_upload
from ingest.http.receive import receive_file
from ingest.http.upload_budget import UploadBudget
from ingest.rendered_upload import is_at_fault, remove_failed_upload, wait_for_base_record
from ingest.settings import LONGEST_WAIT
from ingest.streams import StatusStreams

_MOST_STREAMS = 1000
_MOST_STREAMS_OF_ONE_IMAGE = 50
LONGEST_STREAM = 3600.0  # seconds; a browser then reconnects by itself
_SETTLED = "settled"


def upload_route(
    context: UploadContext,
    limits: BodyLimits,
    folder: Path,
    *,
    clients: ClientLimits,
    streams: StatusStreams,
    plan: Plan,
    wait: float,
) -> Handler:
    """The handler of `POST /upload`: 200 with the new key once the original is stored.

    For a client that prefers it, or by default for `wait` seconds, the answer waits for the base record, and has it.
    An image that cannot be rendered is then refused, and nothing of it stays.
    """
    budget = UploadBudget(folder, limits.bytes)

    async def upload(request: web.Request) -> web.Response:
        with counted_upload() as counted:
            return await accept(request, counted)

    async def accept(request: web.Request, counted: CountedUpload) -> web.Response:
        seconds, headers = _preferred_wait(request, wait)
        async with receive_file(request, limits, budget, clients) as path:
            try:
                image = await accept_upload(path, context=context)
            except ImageError as error:
                counted.format, counted.fault = announced_format(path), error.fault
                raise _refusal(error.fault, error.reason) from error
            counted.format, counted.bytes = image.format, path.stat().st_size
        request["image"] = str(image)
        rendered = None
        if seconds and not context.outbox.is_behind():  # without the broker nothing is rendered
            record = await wait_for_base_record(image, seconds, streams=streams)
            if record is not None and record.failed is not None and is_at_fault(record):
                await remove_failed_upload(image, incoming=context.incoming, plan=plan, outbox=context.outbox)
                counted.fault = record.failed.fault
                raise _refusal(record.failed.fault, record.failed.reason)
            if record is not None and record.failed is None:
                rendered = record
        answer = UploadAnswer(success=True, filename=image, record=rendered)
        return web.json_response(answer.as_json(), headers=headers)

    return upload


def _refusal(fault: str, reason: str) -> RequestRefused:
    return RequestRefused(413 if fault == FailureClass.TOO_LARGE else 400, f"the image is refused: {reason}")


def _preferred_wait(request: web.Request, by_default: float) -> tuple[float, dict[str, str]]:
    """How many seconds the answer may wait for the image's record, and the header that says so."""
    preferred = preferences(request)
    seconds = preferred.get(WAIT, "")
    if re.fullmatch(r"[0-9]{1,9}", seconds):
        most = min(int(seconds), LONGEST_WAIT)
        return most, applied(f"{WAIT}={most}")
    if RESPOND_ASYNC in preferred:
        return 0, applied(RESPOND_ASYNC)
    return by_default, {}


def status_route(buckets: Buckets, plan: Plan) -> Handler:
    """The handler of `GET /status/KEY`: 200 for every key, also for one that is unknown."""

    async def status(request: web.Request) -> web.Response:
        found = await read_status(_image(request), buckets=buckets, plan=plan)
        return web.Response(text=_json(found), content_type="application/json", headers={"Cache-Control": "no-store"})

    return status


def events_route(streams: StatusStreams, clients: ClientLimits) -> Handler:
    """The handler of `GET /events/KEY`: the status as server-sent events, until it is settled."""

    async def events(request: web.Request) -> web.StreamResponse:
        image = _image(request)
        if request.headers.get("Last-Event-ID") == _SETTLED:
            return web.Response(status=204)  # tells the browser not to reconnect
        if streams.count >= _MOST_STREAMS or streams.count_of(image) >= _MOST_STREAMS_OF_ONE_IMAGE:
            raise RequestRefused(503, "too many streams are open here: ask for the status instead, or try again")
        with clients.stream(request):
            return await _stream(request, image, streams)

    return events


async def _stream(request: web.Request, image: ImageKey, streams: StatusStreams) -> web.StreamResponse:
    stream = web.StreamResponse(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
    stream.content_type = "text/event-stream"
    await stream.prepare(request)
    try:
        async with asyncio.timeout(LONGEST_STREAM):
            await _send_statuses(image, stream, streams)
    except (TimeoutError, StorageFault, ConnectionError):
        stream.force_close()  # the browser reconnects
    return stream


async def _send_statuses(image: ImageKey, stream: web.StreamResponse, streams: StatusStreams) -> None:
    async with aclosing(streams.follow(image)) as statuses:  # also when a write fails
        async for status in statuses:
            if status is None:
                await stream.write(b": still there\n\n")
                continue
            event_id = f"id: {_SETTLED}\n" if status.settled else ""
            await stream.write(f"{event_id}event: status\ndata: {_json(status)}\n\n".encode())
    await stream.write_eof()


def capabilities_route(capabilities: Callable[[], Awaitable[CapabilitiesAnswer]]) -> Handler:
    """The handler of `GET /capabilities`: the version, the formats that work, the limits and the sizes."""

    async def answer(_: web.Request) -> web.Response:
        return web.json_response((await capabilities()).model_dump(mode="json"))

    return answer


def _image(request: web.Request) -> ImageKey:
    try:
        return ImageKey.parse(request.match_info["key"])
    except BadName as error:
        raise RequestRefused(400, str(error)) from error


def _json(status: Status) -> str:
    return status.model_dump_json(exclude_none=True)
