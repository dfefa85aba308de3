"""Publishing, consuming, retrying and putting aside, over RabbitMQ.

It keeps to what RabbitMQ 3.10 and 4.x both document. A message is acknowledged only after what becomes of it is
confirmed, so a crash anywhere leads to a second delivery and never to a loss.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import structlog
from aio_pika import DeliveryMode, Message
from aio_pika.abc import (
    AbstractChannel,
    AbstractConnection,
    AbstractIncomingMessage,
    AbstractQueue,
    HeadersType,
)

from common.bus import Dead, DeadLetter, Done, News, Subscription, Verdict, settle
from common.errors import BusFault, Permanent
from common.events import CONTENT_TYPE, Event, decode, encode
from common.rabbit.declare import declare
from common.rabbit.link import Link, translated
from common.topology import EXCHANGE, RETRY_DELAYS, WorkQueue, has_work_queue, routing_key

log = structlog.get_logger()

CONFIRM_TIMEOUT = 10.0  # seconds; a broker that blocks publishers never refuses, it only does not confirm
_MOST_NEWS = 10_000  # events that wait to be heard of; each is only a reason to look
_ATTEMPT, _REASON = "x-attempt", "x-reason"


class RabbitBus:
    """Quorum queues on a topic exchange; one connection publishes, another consumes."""

    def __init__(self, url: str, service: str, retry_delays: tuple[float, ...] = RETRY_DELAYS) -> None:
        self._delays = retry_delays
        self._subscriptions: tuple[Subscription, ...] = ()
        self._news: News | None = None
        self._taking: list[tuple[AbstractQueue, str]] = []
        self._busy: set[asyncio.Task[None]] = set()
        self._publishing = Link(url, f"{service}-publish", self._open_publishing)
        self._consuming = Link(url, f"{service}-consume", self._open_consuming)

    def start(self) -> None:
        """Begin to connect for publishing; a broker that is not up yet is waited for."""
        self._publishing.start()

    async def close(self) -> None:
        """Close both connections."""
        await self._consuming.stop()
        await self._publishing.stop()

    def trouble(self) -> str | None:
        """Why the broker cannot be used just now, or None."""
        listens = self._subscriptions or self._news is not None
        return self._publishing.trouble or (self._consuming.trouble if listens else None)

    async def publish(self, event: Event) -> None:
        """Send the event persistently and wait for the confirm. Raises BusFault."""
        message = _message(encode(event), event.id)
        await self._send(EXCHANGE, routing_key(event), message, mandatory=has_work_queue(event))

    async def consume(self, subscriptions: Sequence[Subscription], news: News | None = None) -> None:
        """Handle the queues' messages, over every outage, until `drain`."""
        self._subscriptions = tuple(subscriptions)
        self._news = news
        if self._subscriptions or news is not None:
            self._consuming.start()

    async def drain(self, grace: float) -> None:
        """Cancel the consumers and wait up to `grace` seconds for what is in hand; the broker redelivers the rest."""
        self._subscriptions, self._news = (), None
        for queue, tag in self._taking:
            with suppress(BusFault):
                async with translated("cancel"):
                    await queue.cancel(tag)
        if self._busy:
            _, late = await asyncio.wait(self._busy, timeout=grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._consuming.stop()

    async def depth(self, queue: WorkQueue) -> int:
        """How many messages wait in the queue. Raises BusFault."""
        async with self._side_channel() as channel:
            declared = await channel.declare_queue(queue.name, passive=True)
            return declared.declaration_result.message_count or 0

    async def dead_letters(self, queue: WorkQueue, limit: int) -> list[DeadLetter]:
        """Up to `limit` of the messages that were put aside. They go back when the channel closes. Raises BusFault."""
        letters: list[DeadLetter] = []
        async with self._side_channel() as channel:
            dead = await channel.get_queue(queue.dead)
            while len(letters) < limit and (message := await dead.get(fail=False)):
                letters.append(DeadLetter(message.body.decode(errors="replace"), _why(message.headers)))
        return letters

    async def replay(self, queue: WorkQueue) -> int:
        """Send everything that was put aside back, stripped of every `x-` header. Raises BusFault."""
        count = 0
        async with self._side_channel() as channel:
            dead = await channel.declare_queue(queue.dead, passive=True)
            # One round: what is put aside again meanwhile waits for the next.
            waiting = dead.declaration_result.message_count or 0
            while count < waiting and (message := await dead.get(fail=False)):
                headers = {key: value for key, value in message.headers.items() if not key.startswith("x-")}
                await self._send("", queue.name, _message(message.body, message.message_id, headers), mandatory=True)
                await message.ack()
                count += 1
        return count

    async def _open_publishing(self, connection: AbstractConnection) -> AbstractChannel:
        channel = await connection.channel(on_return_raises=True)
        channel.close_callbacks.add(self._publishing.lost)
        await declare(channel, self._delays)
        return channel

    async def _open_consuming(self, connection: AbstractConnection) -> AbstractChannel:
        channel = await connection.channel()
        await declare(channel, self._delays)
        self._taking.clear()
        for subscription in self._subscriptions:
            lane = await connection.channel()
            lane.close_callbacks.add(self._consuming.lost)
            await lane.set_qos(prefetch_count=subscription.slots)
            queue = await lane.get_queue(subscription.queue.name)
            tag = await queue.consume(partial(self._take, subscription))
            self._taking.append((queue, tag))
        if self._news is not None:
            await self._listen(connection, self._news)
        return channel

    async def _listen(self, connection: AbstractConnection, news: News) -> None:
        """Hear of every event by a queue of our own, which forgets the oldest when we are slow, and goes when we do."""
        channel = await connection.channel()
        channel.close_callbacks.add(self._consuming.lost)
        arguments: dict[str, Any] = {"x-max-length": _MOST_NEWS, "x-overflow": "drop-head"}
        queue = await channel.declare_queue(exclusive=True, auto_delete=True, arguments=arguments)
        await queue.bind(EXCHANGE, routing_key="#")

        async def heard(message: AbstractIncomingMessage) -> None:
            try:
                news(decode(message.body))
            except Permanent as error:
                log.warning("news that is not known here", reason=str(error))

        await queue.consume(heard, no_ack=True)

    async def _take(self, subscription: Subscription, message: AbstractIncomingMessage) -> None:
        task = asyncio.create_task(self._settle(subscription, message))
        self._busy.add(task)
        task.add_done_callback(self._busy.discard)

    async def _settle(self, subscription: Subscription, message: AbstractIncomingMessage) -> None:
        attempt = _attempt(message.headers)
        verdict = await settle(message.body, attempt, subscription, self._delays)
        while True:
            try:
                await self._act_on(verdict, subscription.queue, message, attempt)
                async with translated("acknowledge"):
                    await message.ack()
            except BusFault as fault:
                log.warning("a message is not settled yet", queue=subscription.queue.name, reason=str(fault))
                if message.channel.is_closed:
                    return  # the broker takes it back, and delivers it again
                await asyncio.sleep(1)  # only the publishing side is away: the message is still ours to settle
            else:
                return

    async def _act_on(self, verdict: Verdict, queue: WorkQueue, message: AbstractIncomingMessage, attempt: int) -> None:
        if isinstance(verdict, Done):
            return
        headers: HeadersType = {_REASON: verdict.reason[:1000], _ATTEMPT: attempt + 1}
        target = queue.dead if isinstance(verdict, Dead) else queue.retry(verdict.delay)
        await self._send("", target, _message(message.body, message.message_id, headers), mandatory=True)

    async def _send(self, exchange: str, key: str, message: Message, *, mandatory: bool) -> None:
        channel = self._publishing.channel()
        async with translated(f"the broker did not take a message for {key}"):
            target = await channel.get_exchange(exchange, ensure=False) if exchange else channel.default_exchange
            await target.publish(message, key, mandatory=mandatory, timeout=CONFIRM_TIMEOUT)

    @asynccontextmanager
    async def _side_channel(self) -> AsyncIterator[AbstractChannel]:
        """A channel of its own, so that an error on it cannot close the one that publishes."""
        connection = self._publishing.connection()
        async with translated("cannot ask the broker"):
            async with asyncio.timeout(CONFIRM_TIMEOUT):
                channel = await connection.channel()
            try:
                yield channel
            finally:
                await channel.close()


def _message(body: bytes, message_id: str | None, headers: HeadersType | None = None) -> Message:
    return Message(
        body,
        content_type=CONTENT_TYPE,
        delivery_mode=DeliveryMode.PERSISTENT,
        message_id=message_id,
        headers=headers or {},
    )


def _attempt(headers: HeadersType) -> int:
    value = headers.get(_ATTEMPT)
    return value if isinstance(value, int) else 0


def _why(headers: HeadersType) -> str:
    reason = headers.get(_REASON)
    if isinstance(reason, str):
        return reason
    return "its consumers kept dying" if "x-death" in headers else "unknown"
