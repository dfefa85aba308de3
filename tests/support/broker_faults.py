"""A service at work on a queue of the real broker, and the faults of broker and network that can happen to it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from tests.support.bus import opened, wait_for_broker
from tests.support.eventually import eventually
from tests.support.proxy import Proxy
from tests.support.rabbitmq import VirtualHost

from common.errors import Transient
from common.images.names import ImageKey
from common.messaging.bus import Subscription
from common.messaging.events import Event, ImageUploaded
from common.messaging.outbox import Outbox
from common.messaging.rabbit import BrokerTimeouts, RabbitBus
from common.messaging.topology import EXCHANGE, QUEUES, RESIZER_LIVE

DELAYS = (0.7, 0.9)
SLOTS = 4
TIMEOUTS = BrokerTimeouts(heartbeat=1)
FAILS_ONCE, TAKES_LONG = 1, 2  # what the handler does with these images
MEETING = 100  # images from here on have to be in hand at once, as many as there are slots
PUBLISHING, CONSUMING = b"test-publish", b"test-consume"  # the connections, by the names that they give themselves
CONFIRM = rb"\x01\x00.\x00\x00\x00\x0d\x00\x3c\x00\x50.{9}\xce"  # a frame: basic.ack, of any tag, on any channel


def uploaded(number: int) -> ImageUploaded:
    return ImageUploaded(source="/test", subject=ImageKey.parse(f"1475660224_{number}.jpg"))


def number_of(event: Event) -> int:
    return int(event.subject.name.split("_")[1])


@dataclass
class Scenario:
    """A service at work on one queue: some events in hand while the fault lasts, one of which then fails."""

    vhost: VirtualHost
    proxy: Proxy
    bus: RabbitBus
    outbox: Outbox
    handled: set[int] = field(default_factory=set)
    in_hand: set[int] = field(default_factory=set)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    together: set[int] = field(default_factory=set)
    met: asyncio.Event = field(default_factory=asyncio.Event)
    troubles: list[str] = field(default_factory=list)

    async def handle(self, event: Event) -> None:
        number = number_of(event)
        if number >= MEETING:
            return await self._meet(number)
        self.in_hand.add(number)
        if number in (FAILS_ONCE, TAKES_LONG) and not self.release.is_set():
            await self.release.wait()
            if number == FAILS_ONCE:
                raise Transient("the first time")
        self.handled.add(number)
        return None

    async def _meet(self, number: int) -> None:
        self.together.add(number)
        if len(self.together) == SLOTS:
            self.met.set()
        await self.met.wait()

    async def told(self) -> bool:
        """Whether any trouble was told yet."""
        return bool(self.troubles)

    async def watch(self) -> None:
        """Note all trouble that is told."""
        while True:
            trouble = self.bus.trouble()
            if trouble is not None:
                self.troubles.append(trouble)
            await asyncio.sleep(0.002)


Act = Callable[[Scenario], Awaitable[None]]


async def nothing(_: Scenario) -> None:
    """For faults that end by themselves."""


async def publishing_goes_silent(scenario: Scenario) -> None:
    scenario.proxy.swallow(PUBLISHING)


async def consuming_goes_silent(scenario: Scenario) -> None:
    scenario.proxy.swallow(CONSUMING)


async def both_go_silent(scenario: Scenario) -> None:
    scenario.proxy.swallow()


async def answers_go_silent(scenario: Scenario) -> None:
    scenario.proxy.swallow(PUBLISHING, requests=False)


async def requests_go_silent(scenario: Scenario) -> None:
    scenario.proxy.swallow(answers=False)


async def host_freezes(scenario: Scenario) -> None:
    scenario.proxy.stall()


async def host_thaws(scenario: Scenario) -> None:
    scenario.proxy.flow()


async def connections_break(scenario: Scenario) -> None:
    await scenario.proxy.cut()


async def connections_are_accepted(scenario: Scenario) -> None:
    await scenario.proxy.restore()


async def operator_closes_connections(scenario: Scenario) -> None:
    # The management API learns of a connection some seconds after it was made.
    async def closed() -> bool:
        if not scenario.troubles:
            await scenario.vhost.close_connections()
        return bool(scenario.troubles)

    await eventually(closed, "connections to close")


async def queue_is_removed(scenario: Scenario) -> None:
    await scenario.vhost.remove_queue(RESIZER_LIVE.name)
    await _queue_is_declared_again(scenario)


async def _queue_is_declared_again(scenario: Scenario) -> None:
    """What comes back from a retry queue while there is none is tried again by the broker only after minutes.

    And the broker confirms what it puts into a queue that is just being removed: that is lost with the queue.
    """
    await eventually(scenario.told, "word of the trouble")

    async def declared() -> bool:
        return RESIZER_LIVE.name in await scenario.vhost.queues()

    await eventually(declared, "the queue, declared again")


async def queue_is_removed_in_silence(scenario: Scenario) -> None:
    """What was in hand is in no queue any more, and cannot be sent to one either, until the silence is noticed."""
    scenario.proxy.swallow(PUBLISHING)
    await scenario.vhost.remove_queue(RESIZER_LIVE.name)


async def queue_gets_other_arguments(scenario: Scenario) -> None:
    """One that is empty: an operator who removes it again loses nothing."""

    async def refused() -> bool:
        return any("inequivalent arg" in trouble for trouble in scenario.troubles)

    await scenario.vhost.replace_queue(RESIZER_LIVE.dead, {"x-queue-type": "classic"})
    await scenario.proxy.cut()
    await scenario.proxy.restore()
    await eventually(refused, "a broker that refuses the declaration")


async def queue_of_other_arguments_is_removed(scenario: Scenario) -> None:
    await scenario.vhost.remove_queue(RESIZER_LIVE.dead)


async def all_queues_are_removed(scenario: Scenario) -> None:
    for queue in QUEUES:
        for name in (queue.name, queue.dead, *(queue.retry(delay) for delay in DELAYS)):
            await scenario.vhost.remove_queue(name)
    await _queue_is_declared_again(scenario)


async def retry_queues_are_removed(scenario: Scenario) -> None:
    for delay in DELAYS:
        await scenario.vhost.remove_queue(RESIZER_LIVE.retry(delay))


async def exchange_is_removed(scenario: Scenario) -> None:
    await scenario.vhost.remove_exchange(EXCHANGE)


async def user_loses_access(scenario: Scenario) -> None:
    await scenario.vhost.forbid()
    await operator_closes_connections(scenario)


async def user_gets_access(scenario: Scenario) -> None:
    await scenario.vhost.allow()


FAULTS: list[tuple[Act, Act]] = [
    (publishing_goes_silent, nothing),
    (consuming_goes_silent, nothing),
    (both_go_silent, nothing),
    (answers_go_silent, nothing),
    (requests_go_silent, nothing),
    (host_freezes, host_thaws),
    (connections_break, connections_are_accepted),
    (operator_closes_connections, nothing),
    (user_loses_access, user_gets_access),
    (queue_is_removed, nothing),
    (queue_is_removed_in_silence, nothing),
    (queue_gets_other_arguments, queue_of_other_arguments_is_removed),
    (all_queues_are_removed, nothing),
    (retry_queues_are_removed, nothing),
    (exchange_is_removed, nothing),
]


@asynccontextmanager
async def open_scenario(vhost: VirtualHost) -> AsyncIterator[Scenario]:
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(Proxy.to(*vhost.address))
        bus = await stack.enter_async_context(opened(vhost.url_through(proxy.port), DELAYS, TIMEOUTS))
        scenario = Scenario(vhost, proxy, bus, Outbox(bus))
        lanes = [Subscription(RESIZER_LIVE, {ImageUploaded: scenario.handle}, slots=SLOTS, deadline=60)]
        await bus.consume(lanes, lambda _: None)
        await wait_for_broker(bus)
        tasks = [asyncio.create_task(scenario.outbox.run()), asyncio.create_task(scenario.watch())]
        try:
            yield scenario
            assert [task for task in tasks if task.done()] == []
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
