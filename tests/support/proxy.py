"""A TCP proxy to put between a service and a server that a test wants to take away."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Self

_KNOWN_BY = 4096  # bytes that a client says first, by which a connection can be chosen


@dataclass
class _Connection:
    """What was said over a connection so far, and which of its directions are silent for ever."""

    said: bytes = b""
    asked: list[bytes] = field(default_factory=list)
    loses_requests: bool = False
    loses_answers: bool = False

    def loses(self, *, answers: bool) -> bool:
        return self.loses_answers if answers else self.loses_requests


class Proxy:
    """Forwards connections from `port` to the server; can be cut, made to stand still, or to lose what passes."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], _Connection] = {}
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._answers_to_lose = 0
        self._replaced: tuple[re.Pattern[bytes], bytes] | None = None
        self.port = 0

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
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Break all connections, and refuse new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        tasks = list(self._connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def stall(self) -> None:
        """Keep connections open, and pass nothing on."""
        self._flowing.clear()

    def flow(self) -> None:
        """Pass on what was kept back, and all that follows."""
        self._flowing.set()

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

    def leave(self) -> None:
        """Pass answers on as they are again."""
        self._replaced = None

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
                self._pump(reader, other, connection), self._pump(there, writer, connection, answers=True)
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
        *,
        answers: bool = False,
    ) -> None:
        while data := await _read(reader, connection, answers=answers):
            await self._flowing.wait()
            if not answers:
                connection.said = (connection.said + data)[:_KNOWN_BY]
            if connection.loses(answers=answers):
                continue
            if answers and self._is_lost(data, connection.asked):
                raise ConnectionAbortedError
            if not answers and data.startswith((b"PUT ", b"GET ", b"HEAD ", b"DELETE ")):
                connection.asked[:] = [data]
            writer.write(self._changed(data) if answers else data)
            await writer.drain()
        if not connection.loses(answers=answers):
            with suppress(OSError):
                writer.write_eof()

    def _changed(self, answer: bytes) -> bytes:
        if self._replaced is None:
            return answer
        pattern, by = self._replaced
        return pattern.sub(by, answer)

    def _is_lost(self, answer: bytes, asked: list[bytes]) -> bool:
        interim = answer.startswith(b"HTTP/1.1 100")
        if not self._answers_to_lose or interim or not asked or not asked[0].startswith(b"PUT "):
            return False
        self._answers_to_lose -= 1
        return True


async def _read(reader: asyncio.StreamReader, connection: _Connection, *, answers: bool) -> bytes:
    try:
        return await reader.read(65536)
    except OSError:
        if connection.loses(answers=answers):
            return b""  # the other end must not hear of it
        raise
