"""Ending connections whose clients do not take what they are sent."""

import asyncio
import socket
import struct
from fcntl import ioctl
from termios import TIOCOUTQ

from common import metrics
from common.http.bodies import SLOWEST

_LOOKS = 15  # in the time of the grace
_ACKNOWLEDGED = 120  # where Linux's tcp_info has tcpi_bytes_acked
_TCP_INFO_BYTES = 128
_NO_LINGER = struct.pack("ii", 1, 0)


class SendWatch:
    """Ends connections over which an answer is taken more slowly than `SLOWEST`, when they lag by `grace` seconds."""

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._patience: dict[asyncio.Transport, tuple[float, int]] = {}  # seconds left, and bytes acknowledged so far

    def add(self, transport: asyncio.Transport) -> None:
        """Watch it until it is closed."""
        self._patience[transport] = (self._grace, 0)

    def remove(self, transport: asyncio.Transport) -> None:
        """Stop watching it."""
        self._patience.pop(transport, None)

    async def run(self) -> None:
        """Look at all of them, again and again."""
        pause = self._grace / _LOOKS
        while True:
            await asyncio.sleep(pause)
            for transport in tuple(self._patience):
                try:
                    self._look(transport, pause)
                except OSError:  # it has just been closed
                    self.remove(transport)

    def _look(self, transport: asyncio.Transport, passed: float) -> None:
        connection = transport.get_extra_info("socket")
        if connection.fileno() < 0:  # aiohttp may have closed it and forgotten its transport
            self.remove(transport)
            return
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
        waiting = transport.get_write_buffer_size() > 0 or _unacknowledged(connection) > 0
        acknowledged = struct.unpack_from("Q", info, _ACKNOWLEDGED)[0]
        left, before = self._patience[transport]
        left = min(left - passed + (acknowledged - before) / SLOWEST, self._grace) if waiting else self._grace
        self._patience[transport] = (left, acknowledged)
        if left <= 0:
            metrics.HTTP_DROPPED.labels("takes no answer").inc()
            self.remove(transport)
            # Not transport.abort(): who waits there to send a file would never hear of it.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            connection.shutdown(socket.SHUT_RDWR)


def _unacknowledged(connection: socket.socket) -> int:
    """Bytes that the kernel holds for the client. Those of a file are here alone, and not at the transport."""
    return int(struct.unpack("i", ioctl(connection.fileno(), TIOCOUTQ, bytes(4)))[0])
