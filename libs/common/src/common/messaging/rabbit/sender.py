"""Publishing over one channel, with confirms.

A broker with an alarm (memory, disk) stops reading and refuses nothing: every copy that was written meanwhile arrives
in the end. So a message that waits for its confirm is never sent again over the same channel. A caller that sends it
again waits for the confirm of the first copy, or returns at once if that has come.

A channel that first publishes to a quorum queue after the node of its leader died, and before another node leads it,
keeps asking the dead node: RabbitMQ 3.10 then refuses (`basic.nack`) all that this channel ever sends to the queue.
Another channel asks the new leader. So a channel that only meets refusals is given up. See
https://github.com/rabbitmq/rabbitmq-server/pull/9241. A queue that is full refuses over all channels. So each further
one is kept four times as long as the one before.
"""

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from aio_pika import Message
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import DeliveryError, PublishError

from common.errors import BusFault
from common.messaging.rabbit.calls import BrokerTimeouts, call_broker, task_result
from common.messaging.rabbit.session import Session

_MOST = 1000  # messages of about 1 KB that may wait for their confirms, in memory
_PATIENCE_GROWTH = 4
_MOST_PATIENCE = 600.0  # seconds


class _Copy(NamedTuple):
    """What two messages have in common if one is a copy of the other."""

    exchange: str
    key: str
    message_id: str | None


@dataclass
class _Sending:
    task: asyncio.Task[None]
    since: float
    waiting: int = 0  # callers


class Sender:
    """Sends over the channel that it was made with; a new channel needs a new sender.

    `patience` has the keys for which earlier channels were given up and nothing was taken since, and for how many
    seconds their refusals are borne over this one. It is kept up to date here.
    """

    def __init__(
        self, session: Session, channel: AbstractChannel, timeouts: BrokerTimeouts, patience: dict[str, float]
    ) -> None:
        self._session = session
        self._channel = channel
        self._timeouts = timeouts
        self._patience = patience
        self._unconfirmed: dict[_Copy, _Sending] = {}  # oldest first
        self._confirmed_late: dict[_Copy, None] = {}  # after its caller had gone; oldest first
        self._taken: set[str] = set()  # routing keys and queues for which the broker has taken a message
        self._refused: dict[str, float] = {}  # since when, of others than those
        self._blocked = 0.0  # when the broker was last seen to block publishers

    @property
    def trouble(self) -> str | None:
        """That the broker does not confirm, or None."""
        oldest = self._oldest()
        if oldest is None or _now() - oldest < self._timeouts.confirm:
            return None
        return "the broker does not confirm what is published: it is overloaded, or has an alarm (memory, disk)"

    async def send(self, exchange: str, key: str, message: Message, *, mandatory: bool) -> None:
        """Send the message and wait for its confirm. Raises BusFault when there is none in time; it may come later."""
        what = f"the broker did not take a message for {key}"
        copy = _Copy(exchange, key, message.message_id)
        if copy in self._confirmed_late:
            del self._confirmed_late[copy]
            return
        if copy not in self._unconfirmed:
            self._begin(what, copy, message, mandatory=mandatory)
        sending = self._unconfirmed[copy]
        sending.waiting += 1
        try:
            await asyncio.wait((sending.task,), timeout=self._timeouts.confirm)
        finally:
            sending.waiting -= 1
        if sending.task.done():
            task_result(what, sending.task)
            return
        await self._lose_session_if_overdue()
        raise BusFault(f"{what}: no confirm within {self._timeouts.confirm:g} s")

    def _begin(self, what: str, copy: _Copy, message: Message, *, mandatory: bool) -> None:
        if len(self._unconfirmed) >= _MOST:
            raise BusFault(f"{what}: it has not confirmed {_MOST} others yet")

        task = asyncio.create_task(self._publish(copy, message, mandatory=mandatory))
        task.add_done_callback(partial(self._ended, copy))
        self._unconfirmed[copy] = _Sending(task, _now())

    def _ended(self, copy: _Copy, task: asyncio.Task[None]) -> None:
        sending = self._unconfirmed.pop(copy)
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, PublishError):
            self._session.lose(f"no queue takes messages for {copy.key}: a queue is missing")
        elif isinstance(error, DeliveryError):
            self._lose_session_if_always_refused(copy.key)
        elif error is None:
            self._taken.add(copy.key)
            self._patience.pop(copy.key, None)
        # An event is published once, and again only where that is not known to have succeeded. What goes straight to
        # a queue may have to go there again later.
        if error is None and not sending.waiting and copy.exchange:
            self._confirmed_late[copy] = None
            while len(self._confirmed_late) > _MOST:
                del self._confirmed_late[next(iter(self._confirmed_late))]

    async def _publish(self, copy: _Copy, message: Message, *, mandatory: bool) -> None:
        channel = self._channel
        target = await channel.get_exchange(copy.exchange, ensure=False) if copy.exchange else channel.default_exchange
        await target.publish(message, copy.key, mandatory=mandatory)

    def _oldest(self) -> float | None:
        """Since when the oldest outstanding message has been waiting."""
        return next((sending.since for sending in self._unconfirmed.values()), None)

    async def _lose_session_if_overdue(self) -> None:
        """Lose the session when a confirm is overdue and the broker does not block: it will not come any more."""
        if await self._is_blocked():
            self._blocked = _now()
        oldest = self._oldest()
        if oldest is not None and _now() - max(oldest, self._blocked) >= self._timeouts.unconfirmed:
            self._session.lose("the broker does not confirm what is published")

    def _lose_session_if_always_refused(self, key: str) -> None:
        """Lose the session when the broker has taken nothing for the key over it.

        A queue that is full refuses, too. If it has taken nothing over this session, the session is lost in vain.
        """
        patience = self._patience.get(key, self._timeouts.refused)
        if key not in self._taken and _now() - self._refused.setdefault(key, _now()) >= patience:
            self._patience[key] = min(patience * _PATIENCE_GROWTH, _MOST_PATIENCE)
            self._session.lose(f"the broker has refused all messages for {key}")

    async def _is_blocked(self) -> bool:
        transport = self._session.connection.transport
        if transport is None:
            return False
        try:
            await call_broker("whether it is blocked", transport.ready(), 0.1)
        except BusFault:
            return True
        return False


def _now() -> float:
    return asyncio.get_running_loop().time()
