"""Dead letters on a real broker, and the command that shows, replays and drops them."""

import json
from typing import Any

from tests.support.commands import run
from tests.support.deployment import Deployment
from tests.support.handling import uploaded
from tests.support.migration import Run
from tests.support.rabbitmq import VirtualHost

from common.messaging.events import encode
from common.messaging.topology import RESIZER_LIVE


async def command(deployment: Deployment, *arguments: str, **settings: str) -> Run:
    return await run(deployment, "publisher", "dead-letters", *arguments, **settings)


async def listed(deployment: Deployment, *arguments: str) -> list[dict[str, Any]]:
    """The lines of `list`."""
    ended = await command(deployment, "list", *arguments)
    assert ended.status == 0, ended.errors
    return [json.loads(line) for line in ended.output.splitlines()]


async def put_dead(vhost: VirtualHost, *numbers: int, queue: str = RESIZER_LIVE.dead, **headers: object) -> None:
    """Dead letters of these images, with their number as id."""
    for number in numbers:
        event = uploaded(number).model_copy(update={"id": str(number)})
        await vhost.put_message(queue, encode(event).decode(), {"x-reason": "away", "x-attempt": 6, **headers})


async def ids(vhost: VirtualHost, queue: str) -> list[str]:
    """The ids of the events in a queue of the broker."""
    return sorted(json.loads(str(message["payload"]))["id"] for message in await vhost.messages(queue))


def broker_of(deployment: Deployment) -> VirtualHost:
    assert deployment.vhost is not None
    return deployment.vhost


async def all_queues(deployment: Deployment) -> None:
    """Declare them, as any service does."""
    assert await listed(deployment) == []
