"""Calls to aio-pika with a time limit. Refusals, silence and the library's own cancellations become BusFault."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, TypeVar

from aiormq.exceptions import AMQPError, ChannelInvalidStateError

from common.errors import BusFault

T = TypeVar("T")

_abandoned: set[asyncio.Future[Any]] = set()  # calls that do not end when cancelled; the loop keeps no reference


@dataclass(frozen=True)
class BrokerTimeouts:
    """How long the broker may take, in seconds.

    The library gives a silent connection up after three times (`heartbeat` + 1). `connect` includes the declarations,
    `reach` is for a connection to one of several nodes, `answer` for one call, `close` for a connection or a consumer.
    After `confirm` a publish that is not confirmed is a fault to its caller, and after `unconfirmed` its channel is
    given up, unless the broker blocks publishers. So is a channel over which a queue has refused all messages for
    `refused`, and for longer if it did so over the channels before.
    """

    heartbeat: int = 10
    connect: float = 10.0
    reach: float = 3.0
    answer: float = 10.0
    close: float = 2.0
    confirm: float = 10.0
    unconfirmed: float = 60.0
    refused: float = 10.0


async def call_broker(what: str, call: Awaitable[T], seconds: float) -> T:
    """The result of the call. Raises BusFault when the broker is away, refuses, or does not answer in time.

    The call runs as a task of its own: some of the library's calls do not end when they are cancelled, and so a
    cancellation that comes out of one is never ours.
    """
    task = asyncio.ensure_future(call)
    try:
        await asyncio.wait((task,), timeout=seconds)
    finally:
        if not task.done():
            _abandon(task)
    if not task.done():
        raise BusFault(f"{what}: no answer within {seconds:g} s")
    return task_result(what, task)


def task_result(what: str, task: asyncio.Future[T]) -> T:
    """The result of a task that has ended. Raises BusFault for whatever the library raises of the broker."""
    try:
        return task.result()
    except asyncio.CancelledError as error:  # aiormq cancels calls over a connection that it closes
        raise BusFault(f"{what}: the connection to the broker was closed") from error
    except (AMQPError, ChannelInvalidStateError, OSError, TimeoutError) as error:
        raise BusFault(f"{what}: {error or type(error).__name__}") from error
    except RuntimeError as error:  # aiormq: "writer is closed", "connection is closing"
        raise BusFault(f"{what}: {error}") from error


def _abandon(task: asyncio.Future[Any]) -> None:
    task.cancel()
    _abandoned.add(task)
    task.add_done_callback(_abandoned.discard)
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
