"""Connections of many clients, each with an address of its own on this machine, which may send and read at any pace."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Self

_OPENED_AT_ONCE = 50
_ANSWER_SECONDS = 120.0


def head_of_upload(size: int, **headers: str) -> bytes:
    """The beginning of an upload whose file has so many bytes, and its first ones, which are those of a JPEG."""
    part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="x.jpg"\r\n\r\n'
    lines = {
        "Host": "x",
        "Content-Type": "multipart/form-data; boundary=x",
        "Content-Length": str(len(part) + size + len(END_OF_UPLOAD)),
        **headers,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST /upload HTTP/1.1\r\n{head}\r\n".encode() + part + b"\xff\xd8\xff"


END_OF_UPLOAD = b"\r\n--x--\r\n"


class Connection:
    """One connection of a client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int, client: str, begin: bytes) -> Self:
        """A connection over which `begin` was sent, at least to the kernel."""
        connection = cls(*await asyncio.open_connection("127.0.0.1", port, local_addr=(client, 0)))
        await connection.send(begin)
        return connection

    async def send(self, data: bytes) -> bool:
        """Whether the service still takes data."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except ConnectionError:
            return False
        return True

    async def status(self) -> int | None:
        """The status that is answered, or None when the connection is closed without one."""
        async with asyncio.timeout(_ANSWER_SECONDS):
            with suppress(ConnectionError):
                line = await self._reader.readline()
                return int(line.split()[1]) if line else None
        return None

    def abort(self) -> None:
        """Go away."""
        self._writer.transport.abort()


@asynccontextmanager
async def crowd(port: int, clients: Sequence[str], begins: Sequence[bytes]) -> AsyncIterator[list[Connection]]:
    """A connection for each of `begins`, by the clients in turn. In the end all go away."""
    opened: list[Connection] = []
    turn = asyncio.Semaphore(_OPENED_AT_ONCE)

    async def open_one(number: int, begin: bytes) -> None:
        async with turn:
            opened.append(await Connection.open(port, clients[number % len(clients)], begin))

    try:
        await asyncio.gather(*(open_one(*one) for one in enumerate(begins)))
        yield opened
    finally:
        for connection in opened:
            connection.abort()
