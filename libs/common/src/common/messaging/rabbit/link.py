"""One connection to the broker. Whenever it, a channel or a consumer is lost, all of it is opened anew.

This one rule replaces aio-pika's robust connections, where each object restores itself in its own way.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence

import aio_pika
import structlog
from aio_pika.abc import AbstractConnection
from aio_pika.connection import make_url
from aiormq.exceptions import InvalidFrameError, ProbableAuthenticationError
from yarl import URL

from common import metrics
from common.backoff import pause
from common.errors import BusFault
from common.messaging.rabbit.calls import BrokerTimeouts, call_broker
from common.messaging.rabbit.session import Session

log = structlog.get_logger()

_PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0)  # seconds between attempts to connect
_STABLE = 30.0  # seconds; a session that was lost sooner counts as one more failure


class Link:
    """Keeps a connection open to one of `urls`, the nodes of one broker.

    `setup` is called with each new session, before anything may use it. The `task` goes on until `stop`.
    """

    def __init__(
        self, urls: Sequence[str], name: str, setup: Callable[[Session], Awaitable[None]], timeouts: BrokerTimeouts
    ) -> None:
        self._urls = random.sample(urls, len(urls))  # else all replicas would use the first node
        self._name = name
        self._setup = setup
        self._timeouts = timeouts
        self._session: Session | None = None
        self.task: asyncio.Task[None] | None = None
        metrics.BROKER_CONNECTED.labels(name).set(0)
        self.trouble: str | None = "not connected to the broker yet"

    def start(self) -> None:
        """Begin to connect, in the background, until it succeeds."""
        self.task = asyncio.create_task(self._keep_open())

    async def stop(self) -> None:
        """Close the connection and do not open it again."""
        if self.task:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
        await self._close()

    def session(self) -> Session:
        """The session that was set up. Raises BusFault while there is none."""
        if self.trouble is not None or self._session is None or not self._session.is_open:
            raise BusFault(self.trouble or "the connection to the broker was lost")
        return self._session

    async def _keep_open(self) -> None:
        failures = 0
        while True:
            session = await self._open_any()
            if session is not None:
                began = _now()
                await self._until_lost(session)
                if _now() - began >= _STABLE:
                    failures = 0
            failures += 1
            await asyncio.sleep(pause(failures, _PAUSES))

    async def _open_any(self) -> Session | None:
        """A session with the first node that can be used, or None; `trouble` then says what is wrong with each."""
        reasons: list[str] = []
        defect: Exception | None = None
        for url in tuple(self._urls):
            self._urls = [*self._urls[1:], url]  # when this node is lost, the others come first
            try:
                session = await self._open(url)
            except Exception as error:  # noqa: BLE001 - the log has it below
                reasons.append(str(error) or type(error).__name__)
                defect = defect if isinstance(error, BusFault) else error
                await self._close()
                continue
            if reasons:
                why = "; ".join(reasons)
                log.warning("passed over nodes of the broker", connection=self._name, reason=why, exc_info=defect)
            self.trouble = None
            log.info("connected to the broker", connection=self._name, broker=_without_secret(url))
            return session
        reason = "; ".join(sorted(reasons))
        if reason != self.trouble:
            log.warning("waiting for the broker", connection=self._name, reason=reason, exc_info=defect)
        self.trouble = reason
        return None

    async def _until_lost(self, session: Session) -> None:
        metrics.BROKER_CONNECTED.labels(self._name).set(1)
        why = await session.lost()
        metrics.BROKER_CONNECTED.labels(self._name).set(0)
        self.trouble = f"the connection to the broker was lost: {why}"
        log.warning("the connection to the broker was lost", connection=self._name, reason=why)
        await self._close()

    async def _open(self, url: str) -> Session:
        what = f"cannot use the broker at {_without_secret(url)}"
        return await call_broker(what, self._set_up(what, url), self._timeouts.connect)

    async def _set_up(self, what: str, url: str) -> Session:
        connection = self._connect(what, url)
        if len(self._urls) > 1:
            connection = call_broker(what, connection, self._timeouts.reach)
        session = self._session = Session(await connection)
        underlay = session.connection.transport
        if underlay is None or not underlay.connection.publisher_confirms:
            raise BusFault(f"{what}: it confirms nothing (publisher_confirms); expected RabbitMQ 3.10 or newer")
        await self._setup(session)
        return session

    async def _connect(self, what: str, url: str) -> AbstractConnection:
        connection = aio_pika.Connection(
            make_url(url, heartbeat=self._timeouts.heartbeat), client_properties={"connection_name": self._name}
        )
        try:
            await connection.connect()
        except ProbableAuthenticationError as error:
            raise BusFault(f"{what}: it refuses the user or the password of RABBITMQ_URL") from error
        except InvalidFrameError as error:
            if "Connection.OpenOk" not in str(error):
                raise
            # The library hides the broker's answer. RabbitMQ closes at this point for these two reasons alone.
            host = URL(url).path.removeprefix("/") or "/"
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
            await session.close(self._timeouts.close)


def _without_secret(url: str) -> str:
    parsed = URL(url)
    return f"{parsed.host}:{parsed.port or (5671 if parsed.scheme == 'amqps' else 5672)}{parsed.path}"


def _now() -> float:
    return asyncio.get_running_loop().time()
