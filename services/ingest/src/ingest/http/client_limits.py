"""How much of the service one client may use at once. What a client holds is forgotten when it holds nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog
from aiohttp import web

from common.http import RequestRefused
from common.http.clients import client_of
from common.settings.values import Network

log = structlog.get_logger()


@dataclass
class _Held:
    """What a client holds now."""

    uploads: int = 0
    upload_bytes: int = 0
    streams: int = 0
    refusal_logged: bool = False


class ClientLimits:
    """At most so many uploads, bytes of uploads and event streams of one client at once.

    Clients behind `trusted` proxies that do not name the client's address have no limits of their own.
    """

    def __init__(self, *, trusted: tuple[Network, ...], uploads: int, upload_bytes: int, streams: int) -> None:
        self._trusted = trusted
        self._most = _Held(uploads, upload_bytes, streams)
        self._held: dict[str, _Held] = {}

    @contextmanager
    def upload(self, request: web.Request) -> Iterator["ClientUpload"]:
        """Around an upload. Raises RequestRefused."""
        with self._holding(request) as (client, held):
            if held.uploads >= self._most.uploads:
                raise self._refused(client, held, f"{self._most.uploads} uploads of this client are in hand")
            upload = ClientUpload(self, client, held)
            held.uploads += 1
            try:
                yield upload
            finally:
                held.uploads -= 1
                held.upload_bytes -= upload.taken

    @contextmanager
    def stream(self, request: web.Request) -> Iterator[None]:
        """Around an event stream. Raises RequestRefused."""
        with self._holding(request) as (client, held):
            if held.streams >= self._most.streams:
                raise self._refused(client, held, f"{self._most.streams} event streams of this client are open")
            held.streams += 1
            try:
                yield
            finally:
                held.streams -= 1

    def take(self, client: str | None, held: _Held, size: int) -> None:
        """Count `size` bytes more of the client's uploads. Raises RequestRefused."""
        if client is not None and held.upload_bytes + size > self._most.upload_bytes:
            raise self._refused(
                client, held, f"uploads of this client hold {self._most.upload_bytes} bytes, which is the most"
            )
        held.upload_bytes += size

    @contextmanager
    def _holding(self, request: web.Request) -> Iterator[tuple[str | None, _Held]]:
        client = client_of(request, self._trusted)
        if client is None:
            yield None, _Held()
            return
        held = self._held.setdefault(client, _Held())
        try:
            yield client, held
        finally:
            if not (held.uploads or held.streams):
                self._held.pop(client, None)

    @staticmethod
    def _refused(client: str | None, held: _Held, reason: str) -> RequestRefused:
        """The refusal. The log has one line for each time that a client begins to hold too much."""
        if not held.refusal_logged:
            held.refusal_logged = True
            log.warning("a client is refused", client=client, reason=reason)
        return RequestRefused(429, f"{reason}: try again when one has ended")


class ClientUpload:
    """One upload of a client: `taken` bytes."""

    def __init__(self, limits: ClientLimits, client: str | None, held: _Held) -> None:
        self.taken = 0
        self._limits = limits
        self._client = client
        self._held = held

    def take(self, size: int) -> None:
        """Count `size` bytes more, before they are written. Raises RequestRefused."""
        self._limits.take(self._client, self._held, size)
        self.taken += size
