"""The bus inside one process, for the embedded default: it behaves like `rabbit`, and needs no server.

Messages are lost with the process, but for dead letters, which are in their store. The buckets are the truth: when it
starts, the publisher does the pending work.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

import structlog

from common.backoff import jittered, shortened
from common.cancellation import first_to_end, to_the_end
from common.errors import StorageFault
from common.messaging.bus import DeadLetter, Listener, Retry, Subscription, dispatch
from common.messaging.dead_letters import MOST_LETTERS, DeadMessage, Done, Wanted, every_letter, not_told
from common.messaging.events import Event, encode
from common.messaging.kept_letters import KeptLetters, MemoryStore
from common.messaging.topology import QUEUES, RETRY_DELAYS, WorkQueue, routing_key
from common.messaging.traces import MessageTrace

log = structlog.get_logger()

_TROUBLE_INTERVAL = 0.5  # seconds between looks whether a subscription's trouble is over
_STORE_INTERVAL = 2.0  # seconds between attempts to store a dead letter
_HANDLED_INTERVAL = 0.05  # seconds between looks whether all messages are handled
_REPLAY_INTERVAL = 10.0  # seconds between looks for dead letters that are to be handled again


@dataclass(frozen=True)
class _Message:
    """A message in memory. `first_failure` is when its first attempt failed; `letter` is the dead letter it was.

    `failed_attempt` is the `traceparent` of the span of the last attempt that failed.
    """

    body: bytes
    attempt: int = 0
    first_failure: datetime | None = None
    letter: DeadMessage | None = None
    failed_attempt: str | None = None


class EmbeddedBus:
    """Queues in memory. Messages are encoded and decoded, so that what works here works over RabbitMQ too."""

    def __init__(self, retry_delays: tuple[float, ...] = RETRY_DELAYS, letters: KeptLetters | None = None) -> None:
        self._delays = retry_delays
        self._letters = letters or KeptLetters(MemoryStore(), MemoryStore())
        self._replayed: set[str] = set()  # ids of dead letters that are in memory again
        self._listener: Listener | None = None
        self._waiting: dict[str, asyncio.Queue[_Message]] = defaultdict(asyncio.Queue)
        self._unhandled = 0  # messages that wait or are in hand, without those that a timer has
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
                self._put(queue.name, _Message(encode(event)))

    async def consume(self, subscriptions: Sequence[Subscription], listener: Listener | None = None) -> None:
        """Start handling the queues' messages, as many at once as each subscription has slots."""
        self._listener = listener
        self._consumers += [asyncio.create_task(self._take(subscription)) for subscription in subscriptions]

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

    async def wait_until_handled(self) -> None:
        """Return when no message waits or is in hand. One that is to be retried later does not count."""
        while self._unhandled:  # noqa: ASYNC110 - a count, not an event
            await asyncio.sleep(_HANDLED_INTERVAL)

    async def depth(self, queue: WorkQueue) -> int:
        """How many messages wait in the queue."""
        return self._waiting[queue.name].qsize()

    async def dead_letter_count(self, queue: WorkQueue) -> int:
        """How many dead letters of the queue there are. Raises StorageFault."""
        return await self._letters.dead_letter_count(queue)

    async def dead_letters(
        self, queue: WorkQueue, limit: int = MOST_LETTERS, wanted: Wanted = every_letter
    ) -> list[DeadMessage]:
        """`limit` of the `wanted` dead letters of the queue, oldest first. They stay. Raises StorageFault."""
        return await self._letters.dead_letters(queue, limit, wanted)

    async def replay(
        self, queue: WorkQueue, limit: int = MOST_LETTERS, wanted: Wanted = every_letter, done: Done = not_told
    ) -> int:
        """Have the `wanted` dead letters handled again. They stay stored until they are. Raises StorageFault."""
        count = await self._letters.replay(queue, limit, wanted, done)
        await self.take_replays()
        return count

    async def drop(
        self, queue: WorkQueue, limit: int = MOST_LETTERS, wanted: Wanted = every_letter, done: Done = not_told
    ) -> int:
        """Remove the `wanted` dead letters. Raises StorageFault."""
        return await self._letters.drop(queue, limit, wanted, done)

    async def run(self) -> None:
        """Go on until cancelled; take again, now and then, what a command has asked to be handled again."""
        replaying = asyncio.create_task(self._keep_replaying())
        try:
            await first_to_end(replaying, *self._consumers)
        finally:
            replaying.cancel()
            await to_the_end(asyncio.gather(replaying, return_exceptions=True))

    async def take_replays(self) -> None:
        """Put the stored dead letters that are to be handled again into their queues. Raises StorageFault."""
        for letter in await self._letters.replays.read():
            if letter.key not in self._replayed:
                self._replayed.add(letter.key)
                self._put(letter.queue, _Message(letter.body.encode(), letter=letter))

    def trouble(self) -> str | None:
        """None: there is no server that could be away."""
        return None

    async def _keep_replaying(self) -> None:
        while True:
            try:
                await self.take_replays()
            except StorageFault as fault:
                log.warning("dead letters cannot be read", reason=str(fault))
            await asyncio.sleep(jittered(_REPLAY_INTERVAL))

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
            task.add_done_callback(lambda _: self._ended(slots))

    def _put(self, queue: str, message: _Message) -> None:
        self._unhandled += 1
        self._waiting[queue].put_nowait(message)

    def _ended(self, slots: asyncio.Semaphore) -> None:
        self._unhandled -= 1
        slots.release()

    async def _dispatch(self, message: _Message, subscription: Subscription) -> None:
        trace = MessageTrace(failed_attempt=message.failed_attempt)
        decision = await dispatch(message.body, message.attempt, subscription, self._delays, trace)
        queue = subscription.queue
        first_failure = message.first_failure
        if isinstance(decision, Retry):
            if decision.attempt > message.attempt:
                first_failure = first_failure or datetime.now(UTC)
            again = replace(
                message,
                attempt=decision.attempt,
                first_failure=first_failure,
                failed_attempt=decision.failed_attempt,
            )
            self._after(shortened(decision.delay), queue.name, again)
        elif isinstance(decision, DeadLetter):
            await self._dead_letter(queue, message, decision.reason)
        elif message.letter is not None:
            await self._end_replay(message.letter)

    async def _dead_letter(self, queue: WorkQueue, message: _Message, reason: str) -> None:
        now = datetime.now(UTC)
        letter = DeadMessage(
            queue=queue.name,
            message_id=None,
            body=message.body.decode(errors="replace"),
            reason=reason,
            attempts=message.attempt + 1,
            first_failure=message.first_failure or now,
            last_failure=now,
        )
        await self._stored(partial(self._letters.dead.put, letter))
        if message.letter is not None:
            await self._end_replay(message.letter)

    async def _end_replay(self, letter: DeadMessage) -> None:
        await self._stored(partial(self._letters.replays.remove, letter))
        self._replayed.discard(letter.key)

    async def _stored(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do it, as soon as the store lets us: nobody else has the message."""
        while True:
            try:
                return await work()
            except StorageFault as fault:
                log.warning("a dead letter is not stored yet, or not removed", reason=str(fault))
            await asyncio.sleep(jittered(_STORE_INTERVAL))

    def _after(self, delay: float, queue: str, message: _Message) -> None:
        def back() -> None:
            self._timers.discard(timer)
            self._put(queue, message)

        timer = asyncio.get_running_loop().call_later(delay, back)
        self._timers.add(timer)
