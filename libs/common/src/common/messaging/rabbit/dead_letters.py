"""Going through the dead letters of a queue, and acting on some.

AMQP 0.9.1 cannot read a quorum queue without taking from it. So each message is taken in turn and kept unacknowledged;
in the end, what nobody acted on is returned, to the end of the queue. If the process dies, the broker does that. Each
return counts as a delivery, and the limit of these is high for dead letters (`DEAD_DELIVERY_LIMIT`).
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from common.errors import BusFault
from common.messaging.dead_letters import Done, Wanted
from common.messaging.rabbit.calls import BrokerTimeouts, call_broker
from common.messaging.rabbit.message import dead_message
from common.messaging.topology import WorkQueue

_LOOKS = 60  # whether what was returned is back
_LOOK_INTERVAL = 0.05  # seconds


class DeadLetters:
    """The dead letters of one queue, over a channel of its own."""

    def __init__(self, channel: AbstractChannel, queue: WorkQueue, timeouts: BrokerTimeouts) -> None:
        self._channel = channel
        self._queue = queue
        self._timeouts = timeouts
        self._kept = 0

    async def visit(
        self, limit: int, wanted: Wanted, act: Callable[[AbstractIncomingMessage], Awaitable[None]], done: Done
    ) -> int:
        """Call `act` with the `wanted` messages, `limit` at most, and `done` after each. Returns how many.

        Messages that come meanwhile are left: one may be there for what `act` did. Raises BusFault.
        """
        count = 0
        try:
            message = await self._take() if limit else None
            others = (message.message_count or 0) if message is not None else 0
            while message is not None:
                self._kept += 1
                letter = dead_message(self._queue, message)
                if wanted(letter):
                    await act(message)
                    if message.processed:
                        self._kept -= 1
                    count += 1
                    done(letter)
                if not others or count == limit:
                    break
                others -= 1
                message = await self._take()
        finally:
            await self._return_kept()
        return count

    async def _take(self) -> AbstractIncomingMessage | None:
        source = await self._channel.get_queue(self._queue.dead, ensure=False)
        call = source.get(fail=False, timeout=self._timeouts.answer)
        return await call_broker(f"cannot take from {self._queue.dead}", call, self._timeouts.answer)

    async def _return_kept(self) -> None:
        """Return what is kept, and wait until it is back, so that whoever looks next sees it.

        The broker returns it by itself when the channel is closed, but later.
        """
        if not self._kept:
            return
        with suppress(BusFault):
            underlay = await call_broker("return", self._channel.get_underlay_channel(), self._timeouts.answer)
            there = await message_count(self._channel, self._queue.dead, self._timeouts)
            everything = underlay.basic_nack(0, multiple=True, requeue=True)
            await call_broker("return", everything, self._timeouts.answer)
            for _ in range(_LOOKS):  # not for ever: somebody else may take some
                if await message_count(self._channel, self._queue.dead, self._timeouts) >= there + self._kept:
                    return
                await asyncio.sleep(_LOOK_INTERVAL)


async def leave(_: AbstractIncomingMessage) -> None:
    """For those that only look."""


async def acknowledge(message: AbstractIncomingMessage, timeouts: BrokerTimeouts) -> None:
    """Have the broker remove the message. Raises BusFault."""
    await call_broker("acknowledge", message.ack(), timeouts.answer)


async def message_count(channel: AbstractChannel, queue: str, timeouts: BrokerTimeouts) -> int:
    """How many messages the queue has that nobody has taken. Raises BusFault."""
    declared = await call_broker(f"cannot look at {queue}", channel.declare_queue(queue, passive=True), timeouts.answer)
    return declared.declaration_result.message_count or 0
