"""The port of an application, with a limit on its connections and on how long each may stay idle."""

import asyncio
import resource
from collections.abc import Iterable
from heapq import nsmallest
from http import HTTPStatus
from math import ceil

import structlog
from aiohttp import web
from aiohttp.http import HttpProcessingError
from aiohttp.typedefs import Handler

from common import metrics
from common.http.accepting import Acceptor, AcceptQueue
from common.http.answers import error_response
from common.http.clients import EVERYWHERE
from common.http.patience import PATIENCE, Patience
from common.http.untaken import SendWatch
from common.settings.values import Network

log = structlog.get_logger()

HEALTH = ("/ping", "/livez", "/readyz")

_MOST = 4096  # connections, also with more descriptors: each takes some memory
_LEAST = 16
# Descriptors for connections in excess, for those that are closed but not yet gone, for those that wait at both ports,
# and for logs, broker, store and decoding processes.
_KEPT = 192
_EACH = 2.25  # descriptors: a connection's own, that of the file that is sent or received, and its share of the queues
_QUEUE_SHARE = 1 / 8  # of the connections that can be served: room for those that are accepted and wait
_SHORTEST_QUEUE = 16
_CLOSED_SHARE = 1 / 64  # of the idle connections, when there are too many: a look at all of them makes room for several
_IN_EXCESS = 16  # connections beyond the limit; each gets 503, or the answer to a health check


def most_connections() -> int:
    """How many connections the service can serve. Raises its limit on descriptors to what it is allowed."""
    _, allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, allowed))
    return _MOST if allowed == resource.RLIM_INFINITY else max(_LEAST, min(_MOST, int((allowed - _KEPT) / _EACH)))


class Connections:
    """The open connections of one port, oldest first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: dict[Connection, None] = {}
        self._in_excess: dict[Connection, None] = {}

    def opened(self, connection: "Connection") -> None:
        """Count it. If there are too many, close some of those that have been idle longest.

        What is still beyond the limit is in excess. Of too many in excess, the oldest is closed.
        """
        self._open[connection] = None
        if len(self._open) <= self._most:
            return
        self._close_idle()
        if len(self._open) - len(self._in_excess) > self._most:
            connection.in_excess = True
            self._in_excess[connection] = None
        if len(self._in_excess) > _IN_EXCESS:
            self._drop(next(iter(self._in_excess)), "in excess")

    def closed(self, connection: "Connection") -> None:
        """Stop counting it."""
        self._open.pop(connection, None)
        self._in_excess.pop(connection, None)

    def _close_idle(self) -> None:
        idle = [one for one in self._open if one.is_idle]
        # One in excess makes no room among those that are served, so it goes only where all of these are busy.
        longest = nsmallest(ceil(len(idle) * _CLOSED_SHARE), idle, key=lambda one: (one.in_excess, one.idle_since))
        for connection in longest:
            self._drop(connection, "waited for")

    def _drop(self, connection: "Connection", which: str) -> None:
        metrics.HTTP_DROPPED.labels(which).inc()
        self.closed(connection)
        connection.force_close()


class Connection(web.RequestHandler):
    """One connection. aiohttp closes it when it has waited too long for a whole head."""

    __slots__ = ("_connections", "_patience", "_watch", "in_excess")

    def __init__(
        self,
        server: web.Server,
        connections: Connections,
        watch: SendWatch,
        patience: Patience,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        # No client compresses what it sends, and what a body inflates to would escape every limit.
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=patience.idle_seconds,
            auto_decompress=False,
            access_log=None,  # type: ignore[arg-type]
        )
        self._connections = connections
        self._watch = watch
        self._patience = patience
        self.in_excess = False

    @property
    def is_idle(self) -> bool:
        """Whether the service has nothing to do for it before it sends more."""
        return self._waiter is not None and not self._waiter.done()

    @property
    def idle_since(self) -> float:
        """Since when it has been idle, by the loop's clock; its first head is waited for for a shorter time."""
        seconds = self._patience.idle_seconds if self._request_count else self._patience.head_seconds
        return self._next_keepalive_close_time - seconds

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Called by aiohttp to send the answer. A refusal before the body's end is the last answer of its connection.

        aiohttp then reads on for ten seconds: what is sent to a closed connection can cost the client the answer.
        """
        early = resp.status >= HTTPStatus.BAD_REQUEST and not request.content.is_eof()
        if early:
            resp.force_close()
        sent = await super().finish_response(request, resp, start_time)
        if early and self.transport is not None and self.transport.can_write_eof():
            self.transport.write_eof()
        return sent

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Called by aiohttp where no middleware is: for what is not HTTP, which is no error of this program."""
        if not isinstance(exc, HttpProcessingError) or request.writer.output_size:
            return super().handle_error(request, status, exc, message)
        log.debug("a request is not HTTP", reason=exc.message)
        answer = error_response(status, "the request is not HTTP as RFC 9112 has it")
        answer.force_close()
        return answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        super().connection_made(transport)
        self._expect_first_head()
        assert isinstance(transport, asyncio.Transport)
        self._watch.add(transport)
        if transport.get_extra_info("peername") is None:
            # Its client has reset it and has no address any more. Limits of one client would not count its requests.
            self.force_close()
        else:
            self._connections.opened(self)

    def _expect_first_head(self) -> None:
        """Wait for it for a shorter time than aiohttp does, which is that between requests."""
        assert self._keepalive_handle is not None
        self._keepalive_handle.cancel()
        self._next_keepalive_close_time = self._loop.time() + self._patience.head_seconds
        self._keepalive_handle = self._loop.call_at(self._next_keepalive_close_time, self._process_keepalive)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Called by the loop."""
        if self.transport is not None:
            self._watch.remove(self.transport)
        super().connection_lost(exc)
        self._connections.closed(self)


class BoundedSite(web.BaseSite):
    """A port at which the runner's application takes at most so many connections, and waits for none without end."""

    __slots__ = ("_acceptor", "_most", "_patience", "_port", "_proxies", "_watching")

    def __init__(
        self,
        runner: web.BaseRunner,
        port: int,
        most: int,
        proxies: Iterable[Network] = EVERYWHERE,
        patience: Patience = PATIENCE,
    ) -> None:
        super().__init__(runner)
        self._port = port
        self._most = most
        self._proxies = proxies
        self._patience = patience
        self._acceptor: Acceptor | None = None
        self._watching: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """What aiohttp calls it in its own messages."""
        return f"port {self._port}"

    async def start(self) -> None:
        """Listen. Raises OSError for a port that cannot be had."""
        await super().start()
        loop = asyncio.get_running_loop()
        connections, watch = Connections(self._most), SendWatch(self._patience.untaken_seconds)
        server = self._runner.server
        assert server is not None
        bound = await loop.create_server(asyncio.Protocol, port=self._port, start_serving=False)
        sockets = [one.dup() for one in bound.sockets]
        bound.close()
        queue = AcceptQueue(max(_SHORTEST_QUEUE, int(self._most * _QUEUE_SHARE)), self._proxies)
        self._acceptor = Acceptor(sockets, lambda: Connection(server, connections, watch, self._patience, loop), queue)
        self._acceptor.listen()
        self._watching = loop.create_task(watch.run())

    async def stop(self) -> None:
        """Accept no more. Connections that are served go on."""
        await super().stop()
        if self._acceptor is not None:
            self._acceptor.close()
        if self._watching is not None:
            self._watching.cancel()


@web.middleware
async def refuse_excess(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Middleware that answers health checks alone over a connection in excess, and 503 to all else."""
    connection = request.protocol
    if not (isinstance(connection, Connection) and connection.in_excess):
        return await handler(request)
    is_health = request.path.endswith(HEALTH)
    answer = (
        await handler(request) if is_health else error_response(503, "too many connections are open here: try again")
    )
    answer.force_close()
    return answer
