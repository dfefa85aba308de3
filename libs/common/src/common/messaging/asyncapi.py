"""The events and queues as an AsyncAPI 3.0 document, from the topology table and the events' own models.

The format: https://www.asyncapi.com/docs/reference/specification/v3.0.0, and for RabbitMQ
https://github.com/asyncapi/bindings/tree/master/amqp (0.3.0).
"""

from functools import cache
from typing import Any, get_args

from pydantic.json_schema import models_json_schema

from common.messaging.events import (
    CONTENT_TYPE,
    ActivationRequested,
    Event,
    ImageUploaded,
    Lane,
    ThumbnailsFailed,
    ThumbnailsReady,
)
from common.messaging.topology import EXCHANGE, QUEUES, WorkQueue

Description = dict[str, Any]

_AMQP = "0.3.0"
_KINDS: tuple[type[Event], ...] = get_args(Event)
# Events that are received and never sent here.
_RECEIVED_ONLY = (ActivationRequested,)
# Who sends the events of the examples, where it is not publisher.
_SENDERS = {ImageUploaded: "ingest", ThumbnailsReady: "resizer", ThumbnailsFailed: "resizer"}
# Each event takes the fields that it has.
_EXAMPLE_DATA = {
    "configuration": "8a1f6d0c2b7e4f90",
    "failed": {"class": "damaged", "reason": "its picture ends early"},
}
_INTRODUCTION = (
    "CloudEvents in structured JSON. An event only says where to look. It may come twice, late or not at all: the "
    "buckets tell what there is. To listen, bind a queue of your own to the exchange."
)
_SERVER: Description = {
    "host": "{host}:{port}",
    "protocol": "amqp",
    "protocolVersion": "0.9.1",
    "description": "RabbitMQ, whose address is in RABBITMQ_URL. The embedded default has no broker.",
    "variables": {"host": {"default": "localhost"}, "port": {"default": "5672"}},
    "security": [{"$ref": "#/components/securitySchemes/account"}],
}


@cache
def document() -> Description:
    """The document, with all channels, operations and messages. It is made once."""
    _, models = models_json_schema(
        [(kind, "serialization") for kind in _KINDS], ref_template="#/components/schemas/{model}"
    )
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Image backend: events", "version": "1", "description": _INTRODUCTION},
        "servers": {"broker": _SERVER},
        "defaultContentType": CONTENT_TYPE,
        "channels": {kind.__name__: _exchange_channel(kind) for kind in _KINDS}
        | {q.name: _queue_channel(q) for q in QUEUES},
        "operations": {
            f"send-{kind.__name__}": _operation("send", kind.__name__, kind)
            for kind in _KINDS
            if kind not in _RECEIVED_ONLY
        }
        | {f"receive-{queue.name}": _operation("receive", queue.name, *_kinds_of(queue)) for queue in QUEUES},
        "components": {
            "securitySchemes": {"account": {"type": "userPassword", "description": "as in RABBITMQ_URL"}},
            "messages": {kind.__name__: _message(kind) for kind in _KINDS},
            "schemas": models["$defs"],
        },
    }


def _message(kind: type[Event]) -> Description:
    return {
        "name": kind.__name__,
        "summary": kind.__doc__,
        "contentType": CONTENT_TYPE,
        "payload": {"$ref": f"#/components/schemas/{kind.__name__}"},
        "examples": [{"name": kind.__name__, "payload": _example(kind)}],
    }


def _example(kind: type[Event]) -> Description:
    """An event as it is sent."""
    sender = "site" if kind in _RECEIVED_ONLY else _SENDERS.get(kind, "publisher")
    attributes = {
        "id": "8f6cc1ee-43a4-4c7e-9f0a-0d2a5cf1a5a1",
        "source": f"/{sender}",
        "time": "2026-11-28T01:02:03.456789Z",
        "subject": "1475660224_0882910455.jpg",
    }
    event = kind.model_validate(attributes | {"data": _EXAMPLE_DATA})
    example: Description = event.model_dump(mode="json")
    return example


def _exchange_channel(kind: type[Event]) -> Description:
    """The channel of an event's routing key on the exchange, to which any listener may bind a queue of its own."""
    exchange = {"name": EXCHANGE, "type": "topic", "durable": True, "autoDelete": False}
    channel: Description = {
        "address": kind.__name__,
        "summary": kind.__doc__,
        "messages": _messages(kind),
        "bindings": {"amqp": {"is": "routingKey", "exchange": exchange, "bindingVersion": _AMQP}},
    }
    if _has_lanes(kind):
        channel["address"] += ".{lane}"
        channel["parameters"] = {"lane": {"description": "Which work goes first.", "enum": list(Lane)}}
    return channel


def _queue_channel(queue: WorkQueue) -> Description:
    """The channel of a queue from which a service consumes."""
    declared = {"name": queue.name, "durable": True, "exclusive": False, "autoDelete": False}
    return {
        "address": queue.name,
        "summary": f"Bound to {', '.join(queue.routing_keys)}.",
        "description": f"A quorum queue. What cannot be handled is dead-lettered to {queue.dead}.",
        "messages": _messages(*_kinds_of(queue)),
        "bindings": {"amqp": {"is": "queue", "queue": declared, "bindingVersion": _AMQP}},
    }


def _operation(action: str, channel: str, *kinds: type[Event]) -> Description:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{kind.__name__}"} for kind in kinds],
    }


def _messages(*kinds: type[Event]) -> Description:
    return {kind.__name__: {"$ref": f"#/components/messages/{kind.__name__}"} for kind in kinds}


def _kinds_of(queue: WorkQueue) -> list[type[Event]]:
    """The kinds of events that the queue is bound to."""
    names = {key.partition(".")[0] for key in queue.routing_keys}
    return [kind for kind in _KINDS if kind.__name__ in names]


def _has_lanes(kind: type[Event]) -> bool:
    return any(key.startswith(f"{kind.__name__}.") for queue in QUEUES for key in queue.routing_keys)
