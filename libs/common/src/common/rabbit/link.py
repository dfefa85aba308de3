"""One connection to the broker that is opened again, with all that hangs on it, whenever it is lost.

Connections are watched here and not by aio-pika's robust ones: one rule (whatever is lost, open all of it anew) is
easier to trust than the sum of what each robust object restores by itself.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import aio_pika
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import AMQPError, ChannelInvalidStateError
from yarl import URL

from common import metrics
from common.errors import BusFault

log = structlog.get_logger()

HEARTBEAT = 10  # seconds; a dead peer is noticed after two of them
CONNECT_TIMEOUT = 10.0
_BACKOFF = (0.2, 0.5, 1.0, 2.0, 5.0)


@asynccontextmanager
async def translated(what: str) -> AsyncIterator[None]:
    """Raises BusFault for whatever the library raises when the broker is away or says no."""
    try:
        yield
    except (AMQPError, ChannelInvalidStateError, OSError, TimeoutError) as error:
        raise BusFault(f"{what}: {error or type(error).__name__}") from error
    except RuntimeError as error:  # aiormq: "writer is closed", "connection is closing"
        raise BusFault(f"{what}: {error}") from error


class Link:
    """Keeps a connection open. `setup` is called with each new connection, before anything may use it."""

    def __init__(self, url: str, name: str, setup: Callable[[AbstractConnection], Awaitable[AbstractChannel]]) -> None:
        self._url = url
        self._name = name
        self._setup = setup
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._reopen = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        metrics.BROKER_CONNECTED.labels(name).set(0)
        self.trouble: str | None = "not connected to the broker yet"

    def start(self) -> None:
        """Begin to connect, in the background and for as long as it takes."""
        self._task = asyncio.create_task(self._keep_open())

    async def stop(self) -> None:
        """Close the connection and do not open it again."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._close()

    def channel(self) -> AbstractChannel:
        """The open channel that `setup` returned. Raises BusFault while there is none."""
        if self._channel is None or self._channel.is_closed:
            raise BusFault(self.trouble or "the channel to the broker was closed")
        return self._channel

    def connection(self) -> AbstractConnection:
        """The open connection. Raises BusFault while there is none."""
        if self._connection is None or self._connection.is_closed:
            raise BusFault(self.trouble or "the connection to the broker was closed")
        return self._connection

    def lost(self, *_: object) -> None:
        """Called when the connection or any of its channels is closed: all of it is opened anew."""
        self._reopen.set()

    async def _keep_open(self) -> None:
        failures = 0
        while True:
            try:
                await self._open()
            except BusFault as fault:
                if str(fault) != self.trouble:
                    log.warning("waiting for the broker", connection=self._name, reason=str(fault))
                self.trouble = str(fault)
                await self._close()
                await asyncio.sleep(_BACKOFF[min(failures, len(_BACKOFF) - 1)])
                failures += 1
                continue
            failures = 0
            log.info("connected to the broker", connection=self._name, broker=_without_secret(self._url))
            metrics.BROKER_CONNECTED.labels(self._name).set(1)
            await self._reopen.wait()
            metrics.BROKER_CONNECTED.labels(self._name).set(0)
            self.trouble = "the connection to the broker was lost"
            log.warning("the connection to the broker was lost", connection=self._name)
            await self._close()

    async def _open(self) -> None:
        self._reopen.clear()
        where = _without_secret(self._url)
        async with translated(f"cannot use the broker at {where}"):
            async with asyncio.timeout(CONNECT_TIMEOUT):
                connection = await aio_pika.connect(
                    self._url, heartbeat=HEARTBEAT, client_properties={"connection_name": self._name}
                )
                self._connection = connection
                connection.close_callbacks.add(self.lost)
                self._channel = await self._setup(connection)
        self.trouble = None

    async def _close(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            connection.close_callbacks.discard(self.lost)
            with suppress(BusFault):
                async with translated("closing"), asyncio.timeout(2):
                    await connection.close()


def _without_secret(url: str) -> str:
    parsed = URL(url)
    return f"{parsed.host}:{parsed.port or (5671 if parsed.scheme == 'amqps' else 5672)}{parsed.path}"
