"""A TCP proxy to put between a service and a server that a test wants to take away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Self


class Proxy:
    """Forwards connections from `port` to the server; can be cut, or made to stand still."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._answers_to_lose = 0
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
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def stall(self) -> None:
        """Keep connections open, and pass nothing on."""
        self._flowing.clear()

    def flow(self) -> None:
        """Pass on what was kept back, and all that follows."""
        self._flowing.set()

    def lose_answers(self, count: int) -> None:
        """Break the connection in the place of the next answers to PUT: the server has done what it was asked."""
        self._answers_to_lose = count

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        other: asyncio.StreamWriter | None = None
        try:
            there, other = await asyncio.open_connection(*self._target)
            asked: list[bytes] = []
            await asyncio.gather(self._pump(reader, other, asked), self._pump(there, writer, asked, answers=True))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for end in (writer, other):
                if end is not None:
                    end.transport.abort()
            self._tasks.discard(task)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: list[bytes], *, answers: bool = False
    ) -> None:
        while data := await reader.read(65536):
            await self._flowing.wait()
            if answers and self._is_lost(data, asked):
                raise ConnectionAbortedError
            if not answers and data.startswith((b"PUT ", b"GET ", b"HEAD ", b"DELETE ")):
                asked[:] = [data]
            writer.write(data)
            await writer.drain()
        with suppress(OSError):
            writer.write_eof()

    def _is_lost(self, answer: bytes, asked: list[bytes]) -> bool:
        interim = answer.startswith(b"HTTP/1.1 100")
        if not self._answers_to_lose or interim or not asked or not asked[0].startswith(b"PUT "):
            return False
        self._answers_to_lose -= 1
        return True
