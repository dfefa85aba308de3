"""Taking a queue's messages, as long as the service can handle them."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from aio_pika.abc import AbstractIncomingMessage, AbstractQueue

from common.messaging.bus import Subscription
from common.messaging.rabbit.calls import Bounds, answered
from common.messaging.rabbit.session import Session

log = structlog.get_logger()


class Consumer:
    """One subscription's consumer on a channel, which is there while the subscription has no trouble."""

    def __init__(
        self,
        subscription: Subscription,
        session: Session,
        queue: AbstractQueue,
        take: Callable[[AbstractIncomingMessage], Awaitable[None]],
        bounds: Bounds,
    ) -> None:
        self.session = session
        self._subscription = subscription
        self._queue = queue
        self._take = take
        self._bounds = bounds
        self._tag: str | None = None
        self._ended = False
        self._changing = asyncio.Lock()

    async def adjust(self) -> None:
        """Take messages if the subscription has no trouble, and none otherwise. Raises BusFault."""
        async with self._changing:
            trouble = self._subscription.trouble()
            if trouble is None and self._tag is None and not self._ended:
                self._tag = await answered("consume", self._queue.consume(self._take), self._bounds.answer)
            elif trouble is not None and self._tag is not None:
                log.warning("events are left to others", queue=self._subscription.queue.name, reason=trouble)
                await self._cancel()

    async def end(self) -> None:
        """Take no messages any more. Raises BusFault."""
        self._ended = True
        async with self._changing:
            await self._cancel()

    async def _cancel(self) -> None:
        tag, self._tag = self._tag, None
        if tag is not None:
            await answered("cancel", self._queue.cancel(tag), self._bounds.close)
