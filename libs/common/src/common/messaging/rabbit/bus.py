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
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, HeadersType

from common.errors import BusFault, Permanent
from common.messaging.bus import Acknowledge, DeadLetter, DeadMessage, Decision, Listener, Retry, Subscription, dispatch
from common.messaging.events import CONTENT_TYPE, Event, decode, encode
from common.messaging.rabbit.calls import Bounds, answered
from common.messaging.rabbit.consumer import Consumer
from common.messaging.rabbit.declare import declare
from common.messaging.rabbit.link import Link
from common.messaging.rabbit.publisher import Publisher
from common.messaging.rabbit.session import Session
from common.messaging.topology import EXCHANGE, RETRY_DELAYS, WorkQueue, has_work_queue, routing_key

log = structlog.get_logger()

_MAX_LISTENER_QUEUE = 10_000  # events that wait to be heard of; each is only a reason to look
_PAUSE = 1.0  # seconds between attempts to say what becomes of a message
_TROUBLE_INTERVAL = 0.5  # seconds between looks at the subscriptions' trouble
_ATTEMPT, _REASON = "x-attempt", "x-reason"


class RabbitBus:
    """Quorum queues on a topic exchange; one connection publishes, another consumes."""

    def __init__(
        self,
        url: str,
        service: str,
        retry_delays: tuple[float, ...] = RETRY_DELAYS,
        bounds: Bounds = Bounds(),  # noqa: B008 - it is frozen
    ) -> None:
        self._delays = retry_delays
        self._bounds = bounds
        self._subscriptions: tuple[Subscription, ...] = ()
        self._listener: Listener | None = None
        self._taking: list[Consumer] = []
        self._following: asyncio.Task[None] | None = None
        self._busy: set[asyncio.Task[None]] = set()
        self._publisher: Publisher | None = None
        self._publishing = Link(url, f"{service}-publish", self._open_publishing, bounds)
        self._consuming = Link(url, f"{service}-consume", self._open_consuming, bounds)

    def start(self) -> None:
        """Begin to connect for publishing; a broker that is not up yet is waited for."""
        self._publishing.start()

    async def close(self) -> None:
        """Close both connections."""
        await self._consuming.stop()
        await self._publishing.stop()

    def trouble(self) -> str | None:
        """Why the broker cannot be used just now, or None."""
        listens = self._subscriptions or self._listener is not None
        return (
            self._publishing.trouble
            or (self._consuming.trouble if listens else None)
            or (self._publisher.trouble if self._publisher else None)
        )

    async def publish(self, event: Event) -> None:
        """Send the event persistently and wait for the confirm. Raises BusFault."""
        message = _message(encode(event), event.id)
        await self._send(EXCHANGE, routing_key(event), message, mandatory=has_work_queue(event))

    async def consume(self, subscriptions: Sequence[Subscription], listener: Listener | None = None) -> None:
        """Handle the queues' messages, over every outage, until `drain`."""
        self._subscriptions = tuple(subscriptions)
        self._listener = listener
        if self._subscriptions or listener is not None:
            self._consuming.start()
            self._following = asyncio.create_task(self._follow_trouble())

    async def drain(self, grace: float) -> None:
        """Cancel the consumers and wait up to `grace` seconds for what is in hand; the broker redelivers the rest."""
        deadline = asyncio.get_running_loop().time() + grace
        self._subscriptions, self._listener = (), None
        if self._following is not None:
            self._following.cancel()
        await asyncio.gather(*(consumer.end() for consumer in self._taking), return_exceptions=True)
        if self._busy:
            _, late = await asyncio.wait(self._busy, timeout=max(0.0, deadline - asyncio.get_running_loop().time()))
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._consuming.stop()

    async def depth(self, queue: WorkQueue) -> int:
        """How many messages wait in the queue. Raises BusFault."""
        async with self._side_channel() as channel:
            return await self._count(channel, queue.name)

    async def dead_letters(self, queue: WorkQueue, limit: int) -> list[DeadMessage]:
        """Up to `limit` of the messages that were put aside. They go back when the channel closes. Raises BusFault."""
        letters: list[DeadMessage] = []
        async with self._side_channel() as channel:
            while len(letters) < limit and (message := await self._get(channel, queue.dead)):
                letters.append(DeadMessage(message.body.decode(errors="replace"), _why(message.headers)))
        return letters

    async def replay(self, queue: WorkQueue) -> int:
        """Send everything that was put aside back, stripped of every `x-` header. Raises BusFault."""
        count = 0
        async with self._side_channel() as channel:
            # One round: what is put aside again meanwhile waits for the next.
            waiting = await self._count(channel, queue.dead)
            while count < waiting and (message := await self._get(channel, queue.dead)):
                headers = {key: value for key, value in message.headers.items() if not key.startswith("x-")}
                await self._send("", queue.name, _message(message.body, message.message_id, headers), mandatory=True)
                await answered("acknowledge", message.ack(), self._bounds.answer)
                count += 1
        return count

    async def _open_publishing(self, session: Session) -> None:
        channel = await session.channel(on_return_raises=True)
        await declare(channel, self._delays)
        self._publisher = Publisher(session, channel, self._bounds)

    async def _open_consuming(self, session: Session) -> None:
        await declare(await session.channel(), self._delays)
        self._taking.clear()
        for subscription in self._subscriptions:
            lane = await session.channel()
            await lane.set_qos(prefetch_count=subscription.slots)
            queue = await lane.get_queue(subscription.queue.name)
            take = partial(self._take, subscription, session, lane)
            consumer = Consumer(subscription, session, queue, take, self._bounds)
            self._taking.append(consumer)  # first, since the first message may tell of trouble at once
            await consumer.adjust()
        if self._listener is not None:
            await self._listen(session, self._listener)

    async def _listen(self, session: Session, listener: Listener) -> None:
        """Hear of every event by a queue of our own, which forgets the oldest when we are slow, and goes when we do."""
        channel = await session.channel()
        arguments: dict[str, Any] = {"x-max-length": _MAX_LISTENER_QUEUE, "x-overflow": "drop-head"}
        queue = await channel.declare_queue(exclusive=True, auto_delete=True, arguments=arguments)
        await queue.bind(EXCHANGE, routing_key="#")

        async def heard(message: AbstractIncomingMessage) -> None:
            try:
                listener(decode(message.body))
            except Permanent as error:
                log.warning("a listener met an unknown event", reason=str(error))

        await queue.consume(heard, no_ack=True)

    async def _follow_trouble(self) -> None:
        while True:
            await asyncio.sleep(_TROUBLE_INTERVAL)
            await self._adjust_consumers()

    async def _adjust_consumers(self) -> None:
        for consumer in list(self._taking):
            try:
                await consumer.adjust()
            except BusFault as fault:
                consumer.session.lose(str(fault))

    async def _take(
        self, subscription: Subscription, session: Session, lane: AbstractChannel, message: AbstractIncomingMessage
    ) -> None:
        if not self._subscriptions:
            return  # it came after the consumers were cancelled: the broker takes it back

        def ended(task: asyncio.Task[None]) -> None:
            self._busy.discard(task)
            if not task.cancelled() and (error := task.exception()):
                # Else the broker would wait for a word of it for as long as the channel is open, and its slot with it.
                log.error("a message could not be settled", queue=subscription.queue.name, exc_info=error)
                session.lose("a message could not be settled")

        task = asyncio.create_task(self._dispatch(subscription, session, lane, message))
        self._busy.add(task)
        task.add_done_callback(ended)

    async def _dispatch(
        self, subscription: Subscription, session: Session, lane: AbstractChannel, message: AbstractIncomingMessage
    ) -> None:
        attempt = _attempt(message.headers)
        decision = await dispatch(message.body, attempt, subscription, self._delays)
        # Before another message takes this one's place, which would use up an attempt, too.
        await self._adjust_consumers()
        while not await self._acted_on(decision, subscription.queue, message, attempt):
            if lane.is_closed:
                return  # the broker takes it back, and delivers it again
            await asyncio.sleep(_PAUSE)  # only the publishing side is away: the message is still ours to settle
        try:
            await answered("acknowledge", message.ack(), self._bounds.answer)
        except BusFault as fault:
            log.warning("a message could not be acknowledged", queue=subscription.queue.name, reason=str(fault))
            session.lose(str(fault))  # nothing, where it was lost before; else an open channel that takes nothing

    async def _acted_on(
        self, decision: Decision, queue: WorkQueue, message: AbstractIncomingMessage, attempt: int
    ) -> bool:
        """Whether a copy of the message is where the verdict wants it."""
        if isinstance(decision, Acknowledge):
            return True
        again = decision.attempt if isinstance(decision, Retry) else attempt + 1
        headers: HeadersType = {_REASON: decision.reason[:1000], _ATTEMPT: again}
        target = queue.dead if isinstance(decision, DeadLetter) else queue.retry(decision.delay)
        try:
            await self._send("", target, _message(message.body, message.message_id, headers), mandatory=True)
        except BusFault as fault:
            log.warning("a message is not settled yet", queue=queue.name, reason=str(fault))
            return False
        return True

    async def _send(self, exchange: str, key: str, message: Message, *, mandatory: bool) -> None:
        self._publishing.session()
        assert self._publisher is not None, "a session that was set up has one"
        await self._publisher.send(exchange, key, message, mandatory=mandatory)

    async def _count(self, channel: AbstractChannel, queue: str) -> int:
        call = channel.declare_queue(queue, passive=True)
        declared = await answered(f"cannot look at {queue}", call, self._bounds.answer)
        return declared.declaration_result.message_count or 0

    async def _get(self, channel: AbstractChannel, queue: str) -> AbstractIncomingMessage | None:
        source = await channel.get_queue(queue, ensure=False)
        call = source.get(fail=False, timeout=self._bounds.answer)
        return await answered(f"cannot take from {queue}", call, self._bounds.answer)

    @asynccontextmanager
    async def _side_channel(self) -> AsyncIterator[AbstractChannel]:
        """A channel of its own, so that an error on it cannot close the one that publishes. Raises BusFault."""
        channel = self._publishing.session().connection.channel()
        await answered("cannot ask the broker", channel.initialize(), self._bounds.answer)
        try:
            yield channel
        finally:
            with suppress(BusFault):
                await answered("closing", channel.close(), self._bounds.close)


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
