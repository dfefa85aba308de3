"""Receiving the body of `POST /upload` into a temporary file."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from aiohttp import web

from common import tracing
from common.cancellation import in_thread
from common.http import RequestRefused
from common.http.bodies import BodyLimits, enforce_limits, multipart_parts, part_chunks
from common.http.form_part import FormPart
from common.storage.temporary import temporary_fault, temporary_path
from ingest.http.client_limits import ClientLimits
from ingest.http.upload_budget import UploadBudget

_CHUNK = 256 * 1024

Take = Callable[[int], AbstractAsyncContextManager[None]]  # surrounds the writing of so many bytes


@asynccontextmanager
async def receive_file(
    request: web.Request, limits: BodyLimits, budget: UploadBudget, clients: ClientLimits
) -> AsyncIterator[Path]:
    """The file part `file` of the body as a temporary file, which is removed at the end. Raises RequestRefused."""
    if not request.content_type.startswith("multipart/"):
        raise RequestRefused(
            400, f"a body of type {request.content_type}: expected multipart/form-data with a file part 'file'"
        )
    path = temporary_path(budget.folder)
    with clients.upload(request) as of_client, budget.share() as share:

        @asynccontextmanager
        async def take(size: int) -> AsyncIterator[None]:
            """Count the bytes before they are written, and wait for their turn. Raises RequestRefused."""
            of_client.take(size)
            share.take(size)
            # What does not announce its length is expected to be as much again as what has come.
            to_come = share.taken if request.content_length is None else request.content_length - share.taken
            async with budget.turns.turn(to_come):
                yield

        try:
            with tracing.span("receive"):
                async with share.arriving(), enforce_limits(limits):
                    await _receive(request, limits, path, take)
            yield path
        finally:
            path.unlink(missing_ok=True)


async def _receive(request: web.Request, limits: BodyLimits, path: Path, take: Take) -> None:
    found = False
    async for part in multipart_parts(request, limits):
        if part.name != "file":
            continue
        if part.filename is None:
            raise RequestRefused(400, "the field 'file' holds text: expected a file part")
        if found:
            raise RequestRefused(400, "the body has two file parts 'file': expected one")
        found = True
        await _write(part, limits, path, take)
    if not found:
        raise RequestRefused(400, "no file: expected multipart/form-data with a file part 'file'")


async def _write(part: FormPart, limits: BodyLimits, path: Path, take: Take) -> None:
    empty = True
    try:
        with path.open("wb") as file:
            async for chunk in part_chunks(part, limits, _CHUNK):
                empty = False
                async with take(len(chunk)):
                    await in_thread(file.write, chunk)
    except ConnectionError:
        raise
    except OSError as error:
        raise temporary_fault(path.parent, error) from error
    if empty:
        raise RequestRefused(400, "the file is empty: expected a JPEG, PNG, GIF or SVG image")
