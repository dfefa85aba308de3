"""The bus over RabbitMQ: publishing, consuming, and looking at dead letters.

It relies only on what both RabbitMQ 3.10 and 4.x document.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import structlog
from aio_pika import Message
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from common.cancellation import first_to_end
from common.errors import BusFault, EventTooNew, Permanent
from common.messaging.bus import Listener, Subscription
from common.messaging.dead_letters import MOST_LETTERS, DeadMessage, Done, Wanted, every_letter, not_told, oldest_first
from common.messaging.events import Event, decode
from common.messaging.rabbit.calls import BrokerTimeouts, call_broker
from common.messaging.rabbit.consumer import Consumers
from common.messaging.rabbit.dead_letters import DeadLetters, acknowledge, leave, message_count
from common.messaging.rabbit.declare import declare
from common.messaging.rabbit.link import Link
from common.messaging.rabbit.message import event_message, new_message, without_our_headers
from common.messaging.rabbit.sender import Sender
from common.messaging.rabbit.session import Session
from common.messaging.topology import EXCHANGE, RETRY_DELAYS, WorkQueue, has_work_queue, routing_key
from common.settings.values import broker_addresses

log = structlog.get_logger()

_MAX_LISTENER_QUEUE = 10_000  # events; the oldest are dropped, as each is only a reason to look


class RabbitBus:
    """Quorum queues on a topic exchange; one connection publishes, another consumes.

    `url` is as RABBITMQ_URL: the addresses of one broker's nodes, of which any will do.
    """

    def __init__(
        self,
        url: str,
        service: str,
        retry_delays: tuple[float, ...] = RETRY_DELAYS,
        timeouts: BrokerTimeouts = BrokerTimeouts(),  # noqa: B008 - it is frozen
    ) -> None:
        self._delays = retry_delays
        self._timeouts = timeouts
        self._listener: Listener | None = None
        self._consumers = Consumers(retry_delays, timeouts, self._send_to_queue)
        self._trouble_follower: asyncio.Task[None] | None = None
        self._sender: Sender | None = None
        self._patience: dict[str, float] = {}
        nodes = broker_addresses(url)
        self._publishing = Link(nodes, f"{service}-publish", self._open_publishing, timeouts)
        self._consuming = Link(nodes, f"{service}-consume", self._open_consuming, timeouts)

    def start(self) -> None:
        """Begin to connect for publishing; a broker that is not up yet is waited for."""
        self._publishing.start()

    async def close(self) -> None:
        """Close both connections."""
        await self._consuming.stop()
        await self._publishing.stop()

    def trouble(self) -> str | None:
        """Why the broker cannot be used just now, or None."""
        consumes = self._consumers.subscriptions or self._listener is not None
        return (
            self._publishing.trouble
            or (self._consuming.trouble if consumes else None)
            or (self._sender.trouble if self._sender else None)
        )

    async def publish(self, event: Event) -> None:
        """Send the event persistently and wait for the confirm. Raises BusFault."""
        await self._send(EXCHANGE, routing_key(event), event_message(event), mandatory=has_work_queue(event))

    async def consume(self, subscriptions: Sequence[Subscription], listener: Listener | None = None) -> None:
        """Handle the queues' messages, over every outage, until `drain`."""
        self._consumers.subscriptions = tuple(subscriptions)
        self._listener = listener
        if subscriptions or listener is not None:
            self._consuming.start()
            self._trouble_follower = asyncio.create_task(self._consumers.follow_trouble())

    async def run(self) -> None:
        """Go on until cancelled. Raises what has ended the task of a connection, or that of the consumers."""
        tasks = (self._publishing.task, self._consuming.task, self._trouble_follower)
        await first_to_end(*filter(None, tasks))

    async def drain(self, grace: float) -> None:
        """Cancel the consumers and wait up to `grace` seconds for what is in hand; the broker redelivers the rest."""
        deadline = asyncio.get_running_loop().time() + grace
        self._listener = None
        if self._trouble_follower is not None:
            self._trouble_follower.cancel()
        await self._consumers.drain(deadline)
        await self._consuming.stop()

    async def depth(self, queue: WorkQueue) -> int:
        """How many messages wait in the queue. Raises BusFault."""
        async with self._side_channel() as channel:
            return await message_count(channel, queue.name, self._timeouts)

    async def retry_count(self, queue: WorkQueue) -> int:
        """How many messages wait to be retried in the queue. Raises BusFault."""
        async with self._side_channel() as channel:
            counts = [await message_count(channel, queue.retry(delay), self._timeouts) for delay in self._delays]
        return sum(counts)

    async def dead_letter_count(self, queue: WorkQueue) -> int:
        """How many dead letters the queue has, without those that a command looks at. Raises BusFault."""
        async with self._side_channel() as channel:
            return await message_count(channel, queue.dead, self._timeouts)

    async def dead_letters(
        self, queue: WorkQueue, limit: int = MOST_LETTERS, wanted: Wanted = every_letter
    ) -> list[DeadMessage]:
        """`limit` of the `wanted` dead letters of the queue, oldest first. They stay. Raises BusFault."""
        found: list[DeadMessage] = []
        async with self._side_channel() as channel:
            await DeadLetters(channel, queue, self._timeouts).visit(limit, wanted, leave, found.append)
        return oldest_first(found)

    async def replay(
        self, queue: WorkQueue, limit: int = MOST_LETTERS, wanted: Wanted = every_letter, done: Done = not_told
    ) -> int:
        """Send the `wanted` dead letters back: the broker has each twice for a moment. Raises BusFault."""

        async def send_back(message: AbstractIncomingMessage) -> None:
            headers = without_our_headers(message.headers)
            await self._send_to_queue(queue.name, new_message(message.body, message.message_id, headers))
            await acknowledge(message, self._timeouts)

        async with self._side_channel() as channel:
            return await DeadLetters(channel, queue, self._timeouts).visit(limit, wanted, send_back, done)

    async def drop(
        self, queue: WorkQueue, limit: int = MOST_LETTERS, wanted: Wanted = every_letter, done: Done = not_told
    ) -> int:
        """Remove the `wanted` dead letters. Raises BusFault."""

        async def remove(message: AbstractIncomingMessage) -> None:
            await acknowledge(message, self._timeouts)

        async with self._side_channel() as channel:
            return await DeadLetters(channel, queue, self._timeouts).visit(limit, wanted, remove, done)

    async def _open_publishing(self, session: Session) -> None:
        channel = await session.channel(on_return_raises=True)
        await declare(channel, self._delays)
        self._sender = Sender(session, channel, self._timeouts, self._patience)

    async def _open_consuming(self, session: Session) -> None:
        await declare(await session.channel(), self._delays)
        await self._consumers.open(session)
        if self._listener is not None:
            await self._listen(session, self._listener)

    async def _listen(self, session: Session, listener: Listener) -> None:
        """Call `listener` with every event, by a queue that the broker deletes when the connection ends."""
        channel = await session.channel()
        arguments: dict[str, Any] = {"x-max-length": _MAX_LISTENER_QUEUE, "x-overflow": "drop-head"}
        queue = await channel.declare_queue(exclusive=True, auto_delete=True, arguments=arguments)
        await queue.bind(EXCHANGE, routing_key="#")

        async def hear(message: AbstractIncomingMessage) -> None:
            try:
                listener(decode(message.body))
            except (Permanent, EventTooNew) as error:
                log.warning("the listener ignores an unknown event", reason=str(error))

        await queue.consume(hear, no_ack=True)

    async def _send_to_queue(self, queue: str, message: Message) -> None:
        await self._send("", queue, message, mandatory=True)  # the default exchange routes by the name of the queue

    async def _send(self, exchange: str, key: str, message: Message, *, mandatory: bool) -> None:
        self._publishing.session()
        assert self._sender is not None, "a session that was set up has one"
        await self._sender.send(exchange, key, message, mandatory=mandatory)

    @asynccontextmanager
    async def _side_channel(self) -> AsyncIterator[AbstractChannel]:
        """A channel for one use, so that an error on it cannot close the one that publishes. Raises BusFault."""
        channel = self._publishing.session().connection.channel()
        await call_broker("cannot ask the broker", channel.initialize(), self._timeouts.answer)
        try:
            yield channel
        finally:
            # Cut off, the library would close the channel twice: for RabbitMQ an error of the whole connection.
            with suppress(BusFault):
                await call_broker("closing", channel.close(), self._timeouts.answer)
