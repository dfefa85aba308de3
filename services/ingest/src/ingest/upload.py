"""Taking a multipart body from the network to a file, with a limit on everything a sender controls."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import MultipartReader, web
from aiohttp.multipart import BodyPartReader
from aiohttp.streams import StreamReader

from common.errors import StorageFault
from common.http import Refused
from common.http.answers import MALFORMED
from common.temporary import temporary_file

MAX_PARTS = 16
_OVERHEAD = 64 * 1024  # bytes around the file: part headers, boundaries, other fields
_CHUNK = 256 * 1024


@dataclass(frozen=True)
class UploadLimits:
    """Most bytes of the file; seconds for the whole body; seconds between two pieces of it."""

    bytes: int
    seconds: float
    idle_seconds: float


class _Guarded:
    """The body's stream, counted and timed at every read.

    aiohttp bounds neither a streamed body nor the lines before its first boundary, and waits for a slow sender for
    ever. All that its multipart reader takes passes through here.
    """

    def __init__(self, stream: StreamReader, limits: UploadLimits) -> None:
        self._stream = stream
        self._limits = limits
        self._left = limits.bytes + _OVERHEAD

    async def read(self, size: int = -1) -> bytes:
        return self._counted(await self._timed(self._stream.read(size)))

    async def readline(self, **options: int) -> bytes:
        return self._counted(await self._timed(self._stream.readline(**options)))

    def at_eof(self) -> bool:
        return self._stream.at_eof()

    def unread_data(self, data: bytes) -> None:
        self._left += len(data)
        self._stream.unread_data(data)

    async def _timed(self, reading: Awaitable[bytes]) -> bytes:
        try:
            async with asyncio.timeout(self._limits.idle_seconds):
                return await reading
        except TimeoutError as error:
            raise Refused(408, f"nothing was sent for {self._limits.idle_seconds:g} s") from error

    def _counted(self, data: bytes) -> bytes:
        self._left -= len(data)
        if self._left < 0:
            raise too_large(self._limits)
        return data


def too_large(limits: UploadLimits) -> Refused:
    """The answer to a body over the limit."""
    return Refused(413, f"the upload is larger than {limits.bytes} bytes, which is the most")


@asynccontextmanager
async def received(request: web.Request, limits: UploadLimits, folder: Path) -> AsyncIterator[Path]:
    """The body's one file part `file`, as a file in `folder` that goes with the context. Raises Refused."""
    if not request.content_type.startswith("multipart/"):
        raise Refused(
            400, f"a body of type {request.content_type}: expected multipart/form-data with a file part 'file'"
        )
    if request.content_length is not None and request.content_length > limits.bytes + _OVERHEAD:
        raise too_large(limits)
    path = temporary_file(folder)
    try:
        try:
            async with asyncio.timeout(limits.seconds):
                await _receive(request, limits, path)
        except TimeoutError as error:
            raise Refused(408, f"the upload took longer than {limits.seconds:g} s") from error
        except MALFORMED as error:
            raise Refused(400, f"the multipart body cannot be read: {error}") from error
        except ConnectionError:
            raise
        except OSError as error:
            raise StorageFault(f"the temporary folder {folder}: {error.strerror}") from error
        yield path
    finally:
        path.unlink(missing_ok=True)


async def _receive(request: web.Request, limits: UploadLimits, path: Path) -> None:
    reader = MultipartReader(request.headers, _Guarded(request.content, limits))  # type: ignore[arg-type]
    parts = 0
    found = False
    while (part := await reader.next()) is not None:
        parts += 1
        if parts > MAX_PARTS:
            raise Refused(400, f"the body has more than {MAX_PARTS} parts")
        if not isinstance(part, BodyPartReader) or part.name != "file":
            continue
        if part.filename is None:
            raise Refused(400, "the field 'file' holds text: expected a file part")
        if found:
            raise Refused(400, "the body has two file parts 'file': expected one")
        found = True
        await _write(part, limits, path)
    if not found:
        raise Refused(400, "no file: expected multipart/form-data with a file part 'file'")


async def _write(part: BodyPartReader, limits: UploadLimits, path: Path) -> None:
    size = 0
    with path.open("wb") as file:
        while chunk := await part.read_chunk(_CHUNK):
            size += len(chunk)
            if size > limits.bytes:
                raise too_large(limits)
            await asyncio.to_thread(file.write, chunk)
    if size == 0:
        raise Refused(400, "the file is empty: expected a JPEG, PNG, GIF or SVG image")
