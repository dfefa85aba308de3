"""A TCP proxy to put between a service and a server that a test wants to take away."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Self

from tests.support.servers import free_port

_KNOWN_BY = 4096  # bytes that a client says first, by which a connection can be chosen
_TURNS_TO_ACCEPT = 5  # of the loop, from a connection that can be accepted to the start of its task
_METHODS = (b"PUT ", b"GET ", b"HEAD ", b"DELETE ", b"POST ")
_LISTING = b"list-type=2"


@dataclass
class _Connection:
    """What was said over a connection so far, and which of its directions are silent for ever."""

    said: bytes = b""
    asked: list[bytes] = field(default_factory=list)
    loses_requests: bool = False
    loses_answers: bool = False
    is_answered: bool = False  # by the proxy: the rest of the request goes nowhere
    replaced: tuple[re.Pattern[bytes], bytes] | None = None
    passed: int = 0  # bytes since the last request, in the direction that is to be broken

    def loses(self, *, answers: bool) -> bool:
        return self.loses_answers if answers else self.loses_requests


class Proxy:
    """Forwards connections from `port` to the server; can be cut, slowed, silenced, or lose what passes."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], _Connection] = {}
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._delay = 0.0  # seconds
        self._answers_to_lose = 0
        self._replaced: tuple[re.Pattern[bytes], bytes] | None = None
        self._answer: bytes | None = None
        self._broken_after: tuple[bool, int] | None = None
        self._breaks = 0
        self._listings: dict[bytes, bytes] = {}  # answers of the server, by the first line of the request
        self._repeats_listings = False
        self.port = free_port()  # nobody takes it while the proxy is cut

    @classmethod
    @asynccontextmanager
    async def to(cls, host: str, port: int) -> AsyncIterator[Self]:
        """A proxy that is open from the start, on a port of its own."""
        proxy = cls(host, port)
        await proxy.restore()
        try:
            yield proxy
        finally:
            await proxy.cut()

    async def restore(self) -> None:
        """Accept connections (again), on the same port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def cut(self) -> None:
        """Break all connections, and refuse new ones."""
        if self._server is not None:
            for listening in self._server.sockets:
                asyncio.get_running_loop().remove_reader(listening)
            # asyncio would leave a connection open that it is accepting when the server is closed.
            for _ in range(_TURNS_TO_ACCEPT):
                await asyncio.sleep(0)
            self._server.close()
            self._server = None
        tasks = list(self._connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def stall(self) -> None:
        """Keep connections open, and pass nothing on."""
        self._flowing.clear()

    def slow(self, seconds: float) -> None:
        """Pass each piece of up to 64 KB on only so much later, and then read the next one."""
        self._delay = seconds

    def flow(self) -> None:
        """Pass on what was kept back, and all that follows, at once."""
        self._flowing.set()
        self._delay = 0.0

    def swallow(self, said: bytes = b"", *, requests: bool = True, answers: bool = True) -> None:
        """Silence the connections of this moment whose client began with something that contains `said`.

        They stay open, nothing passes over them any more, and neither end hears of it when the other one closes.
        Connections that are made later work.
        """
        for connection in self._connections.values():
            if said in connection.said:
                connection.loses_requests |= requests
                connection.loses_answers |= answers

    def replace(self, pattern: bytes, by: bytes) -> None:
        """Change what the server answers, on every connection, wherever it matches the regular expression."""
        self._replaced = re.compile(pattern, re.DOTALL), by

    def replace_over_these(self, pattern: bytes, by: bytes) -> None:
        """Change what the server answers, for good, on the connections of this moment."""
        for connection in self._connections.values():
            connection.replaced = re.compile(pattern, re.DOTALL), by

    def leave(self) -> None:
        """Pass answers on as they are again."""
        self._replaced = self._answer = None
        self._repeats_listings = False

    def answer(self, answer: bytes) -> None:
        """Answer each HTTP request so, in place of the server, until `leave`."""
        self._answer = answer

    def break_after(self, size: int, count: int, *, answers: bool) -> None:
        """Break the connection of the next `count` requests, or answers, that are longer than `size` bytes."""
        self._broken_after, self._breaks = (answers, size), count

    def repeat_listings(self) -> None:
        """Answer each listing of a bucket as it was answered before, until `leave`."""
        self._repeats_listings = True

    def lose_answers(self, count: int) -> None:
        """Break the connection in the place of the next answers to PUT: the server has done what it was asked."""
        self._answers_to_lose = count

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connection = self._connections[task] = _Connection()
        other: asyncio.StreamWriter | None = None
        try:
            there, other = await asyncio.open_connection(*self._target)
            await asyncio.gather(
                self._pump(reader, other, connection, writer), self._pump(there, writer, connection, answers=True)
            )
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for end in (writer, other):
                if end is not None:
                    end.transport.abort()
            del self._connections[task]

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        connection: _Connection,
        client: asyncio.StreamWriter | None = None,
        *,
        answers: bool = False,
    ) -> None:
        while data := await _read(reader, connection, answers=answers):
            await self._flowing.wait()
            if self._delay:
                await asyncio.sleep(self._delay)
            if not answers:
                connection.said = (connection.said + data)[:_KNOWN_BY]
            if connection.loses(answers=answers):
                continue
            if answers and self._is_lost(data, connection.asked):
                raise ConnectionAbortedError
            if not answers and data.startswith(_METHODS):
                self._begin(data, connection, client)
            if connection.is_answered:
                continue
            self._note(data, connection, answers=answers)
            writer.write(self._changed(data, connection) if answers else data)
            await writer.drain()
            self._break(len(data), connection, answers=answers)
        if not connection.loses(answers=answers):
            with suppress(OSError):
                writer.write_eof()

    def _begin(self, request: bytes, connection: _Connection, client: asyncio.StreamWriter | None) -> None:
        """A request begins: answer it, if that is for the proxy to do."""
        connection.asked[:] = [request]
        connection.passed = 0
        answer = self._answer
        if self._repeats_listings:
            answer = answer or self._listings.get(_first_line(request))
        else:
            self._listings.pop(_first_line(request), None)
        connection.is_answered = answer is not None and client is not None
        if answer is not None and client is not None:
            client.write(answer)

    def _note(self, data: bytes, connection: _Connection, *, answers: bool) -> None:
        """Keep what a listing is answered."""
        line = _first_line(connection.asked[0]) if connection.asked else b""
        if answers and _LISTING in line:
            self._listings[line] = self._listings.get(line, b"") + data

    def _break(self, size: int, connection: _Connection, *, answers: bool) -> None:
        if self._breaks and self._broken_after is not None and answers == self._broken_after[0]:
            connection.passed += size
            if connection.passed > self._broken_after[1]:
                self._breaks -= 1
                raise ConnectionAbortedError

    def _changed(self, answer: bytes, connection: _Connection) -> bytes:
        replaced = connection.replaced or self._replaced
        if replaced is None:
            return answer
        pattern, by = replaced
        return pattern.sub(by, answer)

    def _is_lost(self, answer: bytes, asked: list[bytes]) -> bool:
        interim = answer.startswith(b"HTTP/1.1 100")
        if not self._answers_to_lose or interim or not asked or not asked[0].startswith(b"PUT "):
            return False
        self._answers_to_lose -= 1
        return True


def _first_line(request: bytes) -> bytes:
    return request.partition(b"\r\n")[0]


async def _read(reader: asyncio.StreamReader, connection: _Connection, *, answers: bool) -> bytes:
    try:
        return await reader.read(65536)
    except OSError:
        if connection.loses(answers=answers):
            return b""  # the other end must not hear of it
        raise
