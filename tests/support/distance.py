"""A server that is as far away as a benchmark wants it: what is said to it, and what it answers, is on its way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_PIECE = 1 << 18  # bytes


@asynccontextmanager
async def at_a_distance(host: str, port: int, seconds: float) -> AsyncIterator[int]:
    """The port of a way to the server on which a request and its answer take so many `seconds` more.

    Half of it is the request's. What follows is on its way meanwhile, as on a network: a body of any length takes no
    longer. Connecting takes no longer either.
    """
    connections: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        ends = [writer]
        try:
            there, other = await asyncio.open_connection(host, port, limit=_PIECE)
            ends.append(other)
            await asyncio.gather(_carry(reader, other, seconds / 2), _carry(there, writer, seconds / 2))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for end in ends:
                end.transport.abort()
            connections.discard(task)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=_PIECE)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    """Write what is read, each piece so many seconds later, until either end closes."""
    now = asyncio.get_running_loop().time
    on_its_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def arrive() -> None:
        while True:
            when, data = await on_its_way.get()
            await asyncio.sleep(when - now())
            if not data:
                writer.write_eof()
                return
            writer.write(data)
            await writer.drain()

    arriving = asyncio.create_task(arrive())
    try:
        data = b"to begin with"
        while data:
            data = await reader.read(_PIECE)
            on_its_way.put_nowait((now() + seconds, data))
        await arriving
    finally:
        arriving.cancel()
