"""Reading a body with a limit on everything that its sender controls."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import HttpVersion11, MultipartReader, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import StreamReader

from common.http.answers import error_response
from common.http.form_part import FormPart

MAX_PARTS = 16
SLOWEST = 1024  # bytes a second; a poor mobile connection still reaches four times as many
GRACE = 30.0  # seconds that a body may lag behind the slowest rate
_OVERHEAD = 64 * 1024  # bytes around the values: part headers and boundaries
_CONTINUE = "100-continue"

# What aiohttp raises when it cannot parse a body.
MALFORMED = (
    ValueError,
    AssertionError,
    LookupError,
    RuntimeError,
    web.RequestPayloadError,
)


class RequestRefused(Exception):
    """The request is answered with this status and this message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class BodyLimits:
    """At most `bytes` of values, `seconds` for the whole body, and `idle_seconds` between two pieces of it."""

    bytes: int
    seconds: float
    idle_seconds: float

    def too_large(self) -> RequestRefused:
        """The answer to a body over the limit."""
        return RequestRefused(413, f"the body is larger than {self.bytes} bytes, which is the most")


class _LimitedStream:
    """The body's stream. Each read counts its bytes and is limited in time.

    aiohttp does not limit a streamed body or the lines before its first boundary, and waits for a slow sender without
    end. Its multipart reader therefore reads through this class.
    """

    def __init__(self, stream: StreamReader, limits: BodyLimits) -> None:
        self._stream = stream
        self._limits = limits
        self._left = limits.bytes + _OVERHEAD
        # Seconds for which the client is still waited for. Each byte adds some; the grace is the most.
        self._patience = GRACE

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
        """Only what is waited for here counts: the service takes its own time to store what has come."""
        idle, began = self._limits.idle_seconds, self._now()
        try:
            async with asyncio.timeout(min(idle, self._patience)):
                return await reading
        except TimeoutError as error:
            is_idle = idle <= self._patience
            why = f"nothing was sent for {idle:g} s" if is_idle else f"slower than {SLOWEST} bytes a second"
            raise RequestRefused(408, why) from error
        finally:
            self._patience -= self._now() - began

    def _counted(self, data: bytes) -> bytes:
        self._left -= len(data)
        if self._left < 0:
            raise self._limits.too_large()
        self._patience = min(max(self._patience, 0.0) + len(data) / SLOWEST, GRACE)
        return data

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


class _FormReader(MultipartReader):
    part_reader_cls = FormPart


@asynccontextmanager
async def enforce_limits(limits: BodyLimits) -> AsyncIterator[None]:
    """Around the reading of a body: raises RequestRefused when it takes too long or is malformed."""
    try:
        async with asyncio.timeout(limits.seconds):
            yield
    except TimeoutError as error:
        raise RequestRefused(408, f"the body took longer than {limits.seconds:g} s") from error
    except HttpProcessingError as error:
        raise RequestRefused(400, f"the body cannot be read: {error.message}") from error
    except MALFORMED as error:
        raise RequestRefused(400, f"the body cannot be read: {error}") from error


async def answer_expectation(request: web.Request) -> web.Response | None:
    """Called by aiohttp for a request with the header `Expect`: 417 if it is not for `100 Continue`.

    `begin_body` sends `100 Continue`: a client that is refused before that need not send its body.
    """
    expected = request.headers[hdrs.EXPECT]
    if request.version < HttpVersion11 or expected.lower() == _CONTINUE:
        return None
    return error_response(417, f"Expect: {expected}: expected {_CONTINUE}")


async def begin_body(request: web.Request, limits: BodyLimits) -> None:
    """Have a client send its body that waits for `100 Continue`. To be called before a body is read.

    Raises RequestRefused for a body that is too large by its own account.
    """
    if request.content_length is not None and request.content_length > limits.bytes + _OVERHEAD:
        raise limits.too_large()
    if request.version >= HttpVersion11 and request.headers.get(hdrs.EXPECT, "").lower() == _CONTINUE:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer has not begun
        await request.writer.drain()


async def multipart_parts(request: web.Request, limits: BodyLimits) -> AsyncIterator[FormPart]:
    """The parts of a multipart body, each to be read before the next is asked for. Raises RequestRefused."""
    await begin_body(request, limits)
    reader = _FormReader(request.headers, _LimitedStream(request.content, limits))  # type: ignore[arg-type]
    count = 0
    while (part := await reader.next()) is not None:
        count += 1
        if count > MAX_PARTS:
            raise RequestRefused(400, f"the body has more than {MAX_PARTS} parts")
        if not isinstance(part, FormPart):
            raise RequestRefused(400, "a part of the body has parts itself: expected files and fields")
        yield part


async def part_chunks(part: FormPart, limits: BodyLimits, size: int = 64 * 1024) -> AsyncIterator[bytes]:
    """The part's content in pieces. Raises RequestRefused when it is more than the limit."""
    total = 0
    while chunk := await part.read_chunk(size):
        total += len(chunk)
        if total > limits.bytes:
            raise limits.too_large()
        yield chunk
