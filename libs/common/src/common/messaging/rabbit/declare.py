"""The topology table, as RabbitMQ's exchanges, queues and bindings."""

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel, AbstractExchange

from common.messaging.topology import DEAD_DELIVERY_LIMIT, DELIVERY_LIMIT, EXCHANGE, QUEUES, WorkQueue

# Dead-lettering at least once needs an overflow that refuses instead of dropping.
_QUORUM = {"x-queue-type": "quorum", "x-overflow": "reject-publish"}


def _dead_letter_to(queue: str) -> dict[str, str]:
    """Dead-letter through the default exchange to one queue, so that no other queue gets the message."""
    return {
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": queue,
        "x-dead-letter-strategy": "at-least-once",
    }


async def declare(channel: AbstractChannel, retry_delays: tuple[float, ...]) -> None:
    """Declare all of the topology, a queue before those that dead-letter to it."""
    exchange = await channel.declare_exchange(EXCHANGE, ExchangeType.TOPIC, durable=True)
    for queue in QUEUES:
        await _declare_queue(channel, queue, exchange, retry_delays)


async def _declare_queue(
    channel: AbstractChannel, queue: WorkQueue, exchange: AbstractExchange, retry_delays: tuple[float, ...]
) -> None:
    await channel.declare_queue(
        queue.dead, durable=True, arguments={**_QUORUM, "x-delivery-limit": DEAD_DELIVERY_LIMIT}
    )
    work = await channel.declare_queue(
        queue.name,
        durable=True,
        arguments={**_QUORUM, **_dead_letter_to(queue.dead), "x-delivery-limit": DELIVERY_LIMIT},
    )
    for delay in retry_delays:
        await channel.declare_queue(
            queue.retry(delay),
            durable=True,
            arguments={
                **_QUORUM,
                **_dead_letter_to(queue.name),
                "x-delivery-limit": DELIVERY_LIMIT,
                "x-message-ttl": round(delay * 1000),
            },
        )
    for key in queue.routing_keys:
        await work.bind(exchange, routing_key=key)
