"""One connection and its channels, from their opening until anything of it is lost."""

import asyncio
from contextlib import suppress

from aio_pika.abc import AbstractChannel, AbstractConnection

from common.errors import BusFault
from common.messaging.rabbit.calls import call_broker


class Session:
    """Watches the connection, its channels and their consumers. A session that lost one of them is not used again."""

    def __init__(self, connection: AbstractConnection) -> None:
        self.connection = connection
        self._lost = asyncio.Event()
        self._why = ""
        self.has_lost_consumer = False  # because the broker ended it: the queue may be gone, with all that was in hand
        connection.close_callbacks.add(self._closed)

    async def channel(self, *, on_return_raises: bool = False) -> AbstractChannel:
        """Open a channel. The session is lost when the channel is."""
        channel = await self.connection.channel(on_return_raises=on_return_raises)
        channel.close_callbacks.add(self._closed)
        underlay = await channel.get_underlay_channel()
        underlay.on_consumer_cancel_callbacks.add(self._cancelled)
        return channel

    def lose(self, why: str) -> None:
        """Declare the session lost."""
        self._why = self._why or why
        self._lost.set()

    async def lost(self) -> str:
        """Wait until the session is lost, and return why."""
        await self._lost.wait()
        return self._why

    @property
    def is_open(self) -> bool:
        """Whether nothing is lost yet."""
        return not self._lost.is_set() and not self.connection.is_closed

    async def close(self, seconds: float) -> None:
        """Close the connection, or abandon that after so many `seconds`."""
        self.connection.close_callbacks.discard(self._closed)
        with suppress(BusFault):
            await call_broker("closing", self.connection.close(), seconds)

    def _closed(self, _: object, error: BaseException | None) -> None:
        silent = isinstance(error, asyncio.CancelledError)
        self.lose("the broker has fallen silent" if silent else str(error or "the connection was closed"))

    def _cancelled(self, _: object) -> None:
        """The broker ends a consumer when its queue is removed, and newer ones also when it takes too long."""
        self.has_lost_consumer = True
        self.lose("the broker has ended a consumer")
