"""The bus inside one process, for the embedded default: it behaves like `rabbit`, and needs no server.

Messages are lost with the process. The buckets are the truth: when it starts, the publisher does the pending work.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from common.backoff import shortened
from common.messaging.bus import DeadLetter, DeadMessage, Listener, Retry, Subscription, dispatch
from common.messaging.events import Event, encode
from common.messaging.topology import QUEUES, RETRY_DELAYS, WorkQueue, routing_key

_TROUBLE_INTERVAL = 0.5  # seconds between looks whether a subscription's trouble is over


@dataclass(frozen=True)
class _Message:
    body: bytes
    attempt: int = 0


class EmbeddedBus:
    """Queues in memory. Messages are encoded and decoded, so that what works here works over RabbitMQ too."""

    def __init__(self, retry_delays: tuple[float, ...] = RETRY_DELAYS) -> None:
        self._delays = retry_delays
        self._listener: Listener | None = None
        self._waiting: dict[str, asyncio.Queue[_Message]] = defaultdict(asyncio.Queue)
        self._dead: dict[str, list[tuple[_Message, str]]] = defaultdict(list)
        self._timers: set[asyncio.TimerHandle] = set()
        self._busy: set[asyncio.Task[None]] = set()
        self._consumers: list[asyncio.Task[None]] = []

    async def publish(self, event: Event) -> None:
        """Put the event in every queue that is bound to it, and call the listener."""
        if self._listener is not None:
            self._listener(event)
        key = routing_key(event)
        for queue in QUEUES:
            if key in queue.routing_keys:
                self._waiting[queue.name].put_nowait(_Message(encode(event)))

    async def consume(self, subscriptions: Sequence[Subscription], listener: Listener | None = None) -> None:
        """Start handling the queues' messages, as many at once as each subscription has slots."""
        self._listener = listener
        self._consumers = [asyncio.create_task(self._take(subscription)) for subscription in subscriptions]

    async def drain(self, grace: float) -> None:
        """Take no more messages and wait up to `grace` seconds for those in hand."""
        for consumer in self._consumers:
            consumer.cancel()
        for timer in self._timers:
            timer.cancel()
        if self._busy:
            _, late = await asyncio.wait(self._busy, timeout=grace)
            for task in late:
                task.cancel()
        await asyncio.gather(*self._consumers, *self._busy, return_exceptions=True)

    async def depth(self, queue: WorkQueue) -> int:
        """How many messages wait in the queue."""
        return self._waiting[queue.name].qsize()

    async def dead_letters(self, queue: WorkQueue, limit: int) -> list[DeadMessage]:
        """Up to `limit` dead-lettered messages, oldest first."""
        return [DeadMessage(m.body.decode(errors="replace"), reason) for m, reason in self._dead[queue.name][:limit]]

    async def replay(self, queue: WorkQueue) -> int:
        """Send all dead-lettered messages back to the queue, with no attempt counted."""
        letters, self._dead[queue.name] = self._dead[queue.name], []
        for message, _ in letters:
            self._waiting[queue.name].put_nowait(_Message(message.body))
        return len(letters)

    def trouble(self) -> str | None:
        """None: there is no server that could be away."""
        return None

    async def _take(self, subscription: Subscription) -> None:
        slots = asyncio.Semaphore(subscription.slots)
        waiting = self._waiting[subscription.queue.name]
        while True:
            await slots.acquire()
            message = await waiting.get()
            while subscription.trouble() is not None:  # noqa: ASYNC110 - all there is to look at
                await asyncio.sleep(_TROUBLE_INTERVAL)
            task = asyncio.create_task(self._dispatch(message, subscription))
            self._busy.add(task)
            task.add_done_callback(self._busy.discard)
            task.add_done_callback(lambda _: slots.release())

    async def _dispatch(self, message: _Message, subscription: Subscription) -> None:
        decision = await dispatch(message.body, message.attempt, subscription, self._delays)
        queue = subscription.queue.name
        if isinstance(decision, Retry):
            again = _Message(message.body, decision.attempt)
            self._after(shortened(decision.delay), queue, again)
        elif isinstance(decision, DeadLetter):
            self._dead[queue].append((message, decision.reason))

    def _after(self, delay: float, queue: str, message: _Message) -> None:
        def back() -> None:
            self._timers.discard(timer)
            self._waiting[queue].put_nowait(message)

        timer = asyncio.get_running_loop().call_later(delay, back)
        self._timers.add(timer)
