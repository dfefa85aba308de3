"""Taking connections in turn by client, so that a client that opens thousands does not make the others wait."""

import asyncio
import socket
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

import structlog

from common import metrics
from common.http.clients import connected_client
from common.settings.values import Network

log = structlog.get_logger()

# At one turn of the loop. To accept a connection takes some 20 µs, to begin to serve it some 50 times as long.
# Receiving a photo takes some 70 turns: the more of a crowd is begun at each, the longer everybody else's photo takes.
_ACCEPTED_AT_ONCE = 32
_BACKLOG = 1024  # connections in the kernel's queue; what comes beyond is tried again by its sender, after a second
_PAUSE = 1.0  # seconds without accepting when the machine has no descriptor left


class _Client(NamedTuple):
    address: str
    is_proxy: bool


class AcceptQueue:
    """Connections that were accepted and are not served yet. Clients take turns; each one's oldest is next.

    There is room for `most`. Beyond that, the client with the most connections in the queue loses its newest. Proxies
    lose none, as others are behind them, and neither does a client that has only one.
    """

    def __init__(self, most: int, proxies: Iterable[Network]) -> None:
        self._most = most
        self._proxies = tuple(proxies)
        self._queues: OrderedDict[_Client, deque[socket.socket]] = OrderedDict()
        self._count = 0
        # By their number of connections, so that nobody has to be looked for at each connection of a crowd. No proxies.
        self._clients_with: list[dict[_Client, None]] = [{}]

    def __len__(self) -> int:
        return self._count

    @property
    def is_full(self) -> bool:
        """Whether there is neither room for another connection nor a client that can lose one."""
        return self._count >= self._most and self._with_most() is None

    def add(self, connection: socket.socket, address: str) -> socket.socket | None:
        """Queue a connection from the address. Returns the one that was taken from the queue for it."""
        found = connected_client(address, self._proxies)
        client = _Client(found or address, found is None)
        self._queues.setdefault(client, deque()).append(connection)
        self._changed(client, +1)
        loser = self._with_most() if self._count > self._most else None
        if loser is None:
            return None
        lost = self._queues[loser].pop()
        self._changed(loser, -1)
        return lost

    def take(self) -> socket.socket:
        """The connection whose turn it is. Raises KeyError when there is none."""
        client, queue = self._queues.popitem(last=False)
        taken = queue.popleft()
        if queue:
            self._queues[client] = queue
        self._changed(client, -1)
        return taken

    def _with_most(self) -> _Client | None:
        """The client with the most connections, if it can lose one."""
        longest = len(self._clients_with) - 1
        return next(iter(self._clients_with[longest])) if longest > 1 else None

    def _changed(self, client: _Client, by: int) -> None:
        """Count one connection more of the client, or one less, after it was put in its queue or taken from it."""
        self._count += by
        if client.is_proxy:
            return
        number = len(self._queues.get(client, ()))
        self._clients_with[number - by].pop(client, None)
        if number == len(self._clients_with):
            self._clients_with.append({})
        if number > 0:
            self._clients_with[number][client] = None
        while len(self._clients_with) > 1 and not self._clients_with[-1]:
            self._clients_with.pop()


class Acceptor:
    """Accepts connections at sockets that are bound to a port, and has each served by what `make_protocol` returns."""

    def __init__(
        self, sockets: Iterable[socket.socket], make_protocol: Callable[[], asyncio.Protocol], queue: AcceptQueue
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._sockets = tuple(sockets)
        self._make_protocol = make_protocol
        self._queue = queue
        self._accepting = False
        self._rests_until = 0.0  # by the loop's clock
        self._serving = False  # whether the loop will call _serve_next
        self._beginning: set[asyncio.Task[object]] = set()

    def listen(self) -> None:
        """Begin to accept. Raises OSError where another process listens at the port."""
        for listening in self._sockets:
            listening.setblocking(False)
            listening.listen(_BACKLOG)
        self._resume()

    def close(self) -> None:
        """Accept no more, and close what is not served yet."""
        self._pause()
        for listening in self._sockets:
            listening.close()
        while self._queue:
            self._queue.take().close()

    def _resume(self) -> None:
        is_closed = any(listening.fileno() < 0 for listening in self._sockets)
        if not (self._accepting or is_closed or self._loop.time() < self._rests_until):
            self._accepting = True
            for listening in self._sockets:
                self._loop.add_reader(listening, self._accept)

    def _pause(self) -> None:
        if self._accepting:
            self._accepting = False
            for listening in self._sockets:
                self._loop.remove_reader(listening)

    def _accept(self) -> None:
        """Called by the loop when connections wait in the kernel's queue of a socket. Sockets take turns, too."""
        waiting = deque(self._sockets)
        for _ in range(_ACCEPTED_AT_ONCE):
            if self._queue.is_full:
                self._pause()
            if not (waiting and self._accepting):
                break
            listening = waiting.popleft()
            if self._accept_one(listening):
                waiting.append(listening)
        if not self._serving:
            self._serve_next()

    def _accept_one(self, listening: socket.socket) -> bool:
        """Queue a connection. Returns whether there was one."""
        try:
            connection, address = listening.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return False
        except OSError as error:
            log.error("no connection can be accepted for a second", reason=str(error))
            self._pause()
            self._rests_until = self._loop.time() + _PAUSE
            self._loop.call_at(self._rests_until, self._resume)
            return False
        connection.setblocking(False)
        dropped = self._queue.add(connection, address[0])
        if dropped is not None:
            metrics.HTTP_DROPPED.labels("not served yet").inc()
            dropped.close()
        return True

    def _serve_next(self) -> None:
        """Begin to serve one connection of the queue, and the others at the next turns of the loop."""
        if self._queue:
            serving = self._loop.connect_accepted_socket(self._make_protocol, self._queue.take())
            task: asyncio.Task[object] = self._loop.create_task(serving)
            self._beginning.add(task)
            task.add_done_callback(self._begun)
        self._serving = len(self._queue) > 0
        if self._serving:
            self._loop.call_soon(self._serve_next)
        self._resume()

    def _begun(self, task: asyncio.Task[object]) -> None:
        self._beginning.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a connection cannot be served", reason=str(error), exc_info=error)
