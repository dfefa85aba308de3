"""One connection to the broker. Whenever it, a channel or a consumer is lost, all of it is opened anew.

This one rule replaces aio-pika's robust connections, where each object restores itself in its own way.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable

import aio_pika
import structlog
from aio_pika.abc import AbstractConnection
from aio_pika.connection import make_url
from aiormq.exceptions import InvalidFrameError, ProbableAuthenticationError
from yarl import URL

from common import metrics
from common.errors import BusFault
from common.messaging.rabbit.calls import Bounds, answered
from common.messaging.rabbit.session import Session

log = structlog.get_logger()

_PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0)  # seconds between attempts to connect


def pause(failures: int) -> float:
    """Seconds until the next attempt: more after each failure, and random, so that replicas do not come all at once."""
    return _PAUSES[min(failures, len(_PAUSES)) - 1] * random.uniform(0.5, 1.5)  # noqa: S311


class Link:
    """Keeps a connection open. `setup` is called with each new session, before anything may use it."""

    def __init__(self, url: str, name: str, setup: Callable[[Session], Awaitable[None]], bounds: Bounds) -> None:
        self._url = url
        self._name = name
        self._setup = setup
        self._bounds = bounds
        self._session: Session | None = None
        self._task: asyncio.Task[None] | None = None
        metrics.BROKER_CONNECTED.labels(name).set(0)
        self.trouble: str | None = "not connected to the broker yet"

    def start(self) -> None:
        """Begin to connect, in the background, until it succeeds."""
        self._task = asyncio.create_task(self._keep_open())

    async def stop(self) -> None:
        """Close the connection and do not open it again."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._close()

    def session(self) -> Session:
        """The session that was set up. Raises BusFault while there is none."""
        if self.trouble is not None or self._session is None or not self._session.is_open:
            raise BusFault(self.trouble or "the connection to the broker was lost")
        return self._session

    async def _keep_open(self) -> None:
        failures = 0
        while True:
            try:
                session = await self._open()
            except Exception as error:
                failures += 1
                reason = str(error) or type(error).__name__
                if reason != self.trouble:
                    defect = not isinstance(error, BusFault)
                    log.warning("waiting for the broker", connection=self._name, reason=reason, exc_info=defect)
                self.trouble = reason
                await self._close()
                await asyncio.sleep(pause(failures))
                continue
            failures = 0
            self.trouble = None
            log.info("connected to the broker", connection=self._name, broker=_without_secret(self._url))
            metrics.BROKER_CONNECTED.labels(self._name).set(1)
            why = await session.lost()
            metrics.BROKER_CONNECTED.labels(self._name).set(0)
            self.trouble = f"the connection to the broker was lost: {why}"
            log.warning("the connection to the broker was lost", connection=self._name, reason=why)
            await self._close()

    async def _open(self) -> Session:
        what = f"cannot use the broker at {_without_secret(self._url)}"
        return await answered(what, self._set_up(what), self._bounds.connect)

    async def _set_up(self, what: str) -> Session:
        session = self._session = Session(await self._connect(what))
        underlay = session.connection.transport
        if underlay is None or not underlay.connection.publisher_confirms:
            raise BusFault(f"{what}: it confirms nothing (publisher_confirms); expected RabbitMQ 3.10 or newer")
        await self._setup(session)
        return session

    async def _connect(self, what: str) -> AbstractConnection:
        url = make_url(self._url, heartbeat=self._bounds.heartbeat)
        connection = aio_pika.Connection(url, client_properties={"connection_name": self._name})
        try:
            await connection.connect()
        except ProbableAuthenticationError as error:
            raise BusFault(f"{what}: it refuses the user or the password of RABBITMQ_URL") from error
        except InvalidFrameError as error:
            if "Connection.OpenOk" not in str(error):
                raise
            # The library hides the broker's answer. RabbitMQ closes at this point for these two reasons alone.
            host = URL(self._url).path.removeprefix("/") or "/"
            raise BusFault(
                f"{what}: the virtual host {host!r} does not exist, or the user of RABBITMQ_URL may not use it"
            ) from error
        finally:
            if connection.transport is None:
                await connection.close()  # else its finalizer would close it, in any thread
        return connection

    async def _close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close(self._bounds.close)


def _without_secret(url: str) -> str:
    parsed = URL(url)
    return f"{parsed.host}:{parsed.port or (5671 if parsed.scheme == 'amqps' else 5672)}{parsed.path}"
