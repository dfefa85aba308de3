"""Taking messages from queues, and acting on what was decided about each.

A message is acknowledged only after the broker has confirmed its copy in a retry or dead-letter queue. So a crash at
any point leads to a second delivery, never to a loss.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import structlog
from aio_pika import Message
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue

from common.backoff import jittered, shortened
from common.errors import BusFault
from common.messaging.bus import Acknowledge, DeadLetter, Decision, Retry, Subscription, dispatch
from common.messaging.rabbit.calls import BrokerTimeouts, call_broker
from common.messaging.rabbit.message import attempt_of, copy_headers, new_message, trace_of
from common.messaging.rabbit.session import Session
from common.messaging.topology import WorkQueue

log = structlog.get_logger()

_RETRY_INTERVAL = 1.0  # seconds between attempts to send a copy of a message
_TROUBLE_INTERVAL = 0.5  # seconds between looks at the subscriptions' trouble


class Consumer:
    """One subscription's consumer on a channel of its own. It takes messages while the subscription has no trouble."""

    def __init__(
        self,
        subscription: Subscription,
        session: Session,
        channel: AbstractChannel,
        queue: AbstractQueue,
        *,
        take: Callable[["Consumer", AbstractIncomingMessage], Awaitable[None]],
        timeouts: BrokerTimeouts,
    ) -> None:
        self.subscription = subscription
        self.session = session
        self.channel = channel
        self._queue = queue
        self._take = partial(take, self)
        self._timeouts = timeouts
        self._tag: str | None = None
        self._ended = False
        self._changing = asyncio.Lock()

    async def adjust(self) -> None:
        """Take messages if the subscription has no trouble, and none otherwise. Raises BusFault."""
        async with self._changing:
            trouble = self.subscription.trouble()
            if trouble is None and self._tag is None and not self._ended:
                self._tag = await call_broker("consume", self._queue.consume(self._take), self._timeouts.answer)
            elif trouble is not None and self._tag is not None:
                log.warning("events are left to others", queue=self.subscription.queue.name, reason=trouble)
                await self._cancel()

    async def end(self) -> None:
        """Take no messages any more. Raises BusFault."""
        self._ended = True
        async with self._changing:
            await self._cancel()

    async def _cancel(self) -> None:
        tag, self._tag = self._tag, None
        if tag is not None:
            await call_broker("cancel", self._queue.cancel(tag), self._timeouts.close)


class Consumers:
    """The consumers of all subscriptions, opened anew with each session, and the messages in hand.

    `send` sends a message to the queue that it names, and raises BusFault.
    """

    def __init__(
        self, retry_delays: tuple[float, ...], timeouts: BrokerTimeouts, send: Callable[[str, Message], Awaitable[None]]
    ) -> None:
        self.subscriptions: tuple[Subscription, ...] = ()
        self._delays = retry_delays
        self._timeouts = timeouts
        self._send = send
        self._consumers: list[Consumer] = []
        self._in_hand: set[asyncio.Task[None]] = set()

    async def open(self, session: Session) -> None:
        """Start one consumer for each subscription."""
        self._consumers.clear()
        for subscription in self.subscriptions:
            channel = await session.channel()
            await channel.set_qos(prefetch_count=subscription.slots)
            queue = await channel.get_queue(subscription.queue.name)
            consumer = Consumer(subscription, session, channel, queue, take=self._take, timeouts=self._timeouts)
            self._consumers.append(consumer)  # first, since the first message may tell of trouble at once
            await consumer.adjust()

    async def follow_trouble(self) -> None:
        """Stop and start consumers as their subscriptions' trouble comes and goes, until cancelled."""
        while True:
            await asyncio.sleep(_TROUBLE_INTERVAL)
            await self._adjust()

    async def drain(self, deadline: float) -> None:
        """Stop all consumers, and wait for that and for the messages in hand until `deadline`, by the loop's clock."""
        self.subscriptions = ()
        tasks = self._in_hand | {asyncio.create_task(consumer.end()) for consumer in self._consumers}
        if tasks:
            left = max(0.0, deadline - asyncio.get_running_loop().time())
            _, late = await asyncio.wait(tasks, timeout=left)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _adjust(self) -> None:
        for consumer in list(self._consumers):
            try:
                await consumer.adjust()
            except BusFault as fault:
                consumer.session.lose(str(fault))

    async def _take(self, consumer: Consumer, message: AbstractIncomingMessage) -> None:
        if not self.subscriptions:
            return  # it came after the consumers were cancelled: the broker will deliver it again
        task = asyncio.create_task(self._dispatch(consumer, message))
        self._in_hand.add(task)
        task.add_done_callback(partial(self._dispatched, consumer))

    def _dispatched(self, consumer: Consumer, task: asyncio.Task[None]) -> None:
        self._in_hand.discard(task)
        if not task.cancelled() and (error := task.exception()):
            # Without an answer, the message would hold its slot for as long as the channel is open.
            log.error("a message could not be dispatched", queue=consumer.subscription.queue.name, exc_info=error)
            consumer.session.lose("a message could not be dispatched")

    async def _dispatch(self, consumer: Consumer, message: AbstractIncomingMessage) -> None:
        queue = consumer.subscription.queue
        attempt = attempt_of(message.headers)
        trace = trace_of(message.headers)
        decision = await dispatch(message.body, attempt, consumer.subscription, self._delays, trace)
        # Before the acknowledgement frees a slot: a message that comes while there is trouble uses up an attempt, too.
        await self._adjust()
        while not await self._send_copy(decision, queue, message, attempt):
            if consumer.channel.is_closed and not consumer.session.has_lost_consumer:
                return  # the broker delivers the message again
            # Only the publishing side is away, or the queue was removed: nobody else has the message.
            await asyncio.sleep(jittered(_RETRY_INTERVAL))
        try:
            await call_broker("acknowledge", message.ack(), self._timeouts.answer)
        except BusFault as fault:
            log.warning("a message could not be acknowledged", queue=queue.name, reason=str(fault))
            consumer.session.lose(str(fault))  # else the channel may stay open and its slot taken

    async def _send_copy(
        self, decision: Decision, queue: WorkQueue, message: AbstractIncomingMessage, attempt: int
    ) -> bool:
        """Send the copy that the decision asks for, if any. Returns False when the broker did not take it."""
        if isinstance(decision, Acknowledge):
            return True
        target = queue.dead if isinstance(decision, DeadLetter) else queue.retry(decision.delay)
        next_attempt = decision.attempt if isinstance(decision, Retry) else attempt + 1
        headers = copy_headers(message.headers, next_attempt, decision.reason, decision.failed_attempt)
        # The queue's own limit is the whole delay: what failed together comes back a little sooner, one by one.
        expires = shortened(decision.delay) if isinstance(decision, Retry) else None
        try:
            await self._send(target, new_message(message.body, message.message_id, headers, expires=expires))
        except BusFault as fault:
            log.warning("a message is not dispatched yet", queue=queue.name, reason=str(fault))
            return False
        return True
