"""The description of the events, held against what really crosses the broker."""

import asyncio
import json
from typing import Any, get_args

import aio_pika
import jsonschema_rs
import pytest
from tests.support.bus import opened
from tests.support.rabbitmq import VirtualHost

from common.images.records import Failure, Stage
from common.messaging.asyncapi import document
from common.messaging.events import Event, ImageUploaded, Lane, ThumbnailsRequested, decode, encode

_SUBJECT = {"source": "/test", "subject": "1475660224_0882910455.jpg"}
_DATA = {"configuration": "abc", "failed": Failure(fault="damaged", reason="cut off"), "stage": Stage.MODERN}
_WITH_LANES = (ImageUploaded, ThumbnailsRequested)


async def test_an_outsider_who_knows_only_the_description_gets_every_event(vhost: VirtualHost) -> None:
    described = document()
    async with opened(vhost.url) as bus, await aio_pika.connect(vhost.url) as connection:
        channel = await connection.channel()
        mine = await channel.declare_queue(exclusive=True)
        for found in _channels(described, "routingKey"):
            exchange = found["bindings"]["amqp"]["exchange"]["name"]
            await mine.bind(exchange, found["address"].replace("{lane}", "*"))
        sent = [kind.model_validate(_SUBJECT | {"data": _DATA}) for kind in get_args(Event)]
        sent += [kind.model_validate(_SUBJECT | {"data": {"lane": Lane.BULK}}) for kind in _WITH_LANES]
        for event in sent:
            await bus.publish(event)
        got = {}
        async with asyncio.timeout(60), mine.iterator(no_ack=True) as messages:
            async for message in messages:
                body = json.loads(message.body)
                got[body["id"]] = body
                payload = described["components"]["messages"][body["type"]]["payload"]
                schema = payload | {"components": described["components"]}
                jsonschema_rs.Draft202012Validator(schema).validate(body)
                if len(got) == len(sent):
                    break
    assert got.keys() == {event.id for event in sent}


async def test_the_queues_are_those_that_are_declared(vhost: VirtualHost) -> None:
    async with opened(vhost.url):
        there = await vhost.queues()
    described = {found["bindings"]["amqp"]["queue"]["name"] for found in _channels(document(), "queue")}
    assert described == {name for name in there if ".retry." not in name and not name.endswith(".dead")}


@pytest.mark.parametrize("kind", get_args(Event), ids=lambda kind: kind.__name__)
def test_examples_are_events(kind: type[Event]) -> None:
    (example,) = document()["components"]["messages"][kind.__name__]["examples"]
    event = decode(json.dumps(example["payload"]).encode())
    assert type(event) is kind
    assert json.loads(encode(event)) == example["payload"], "all fields, as they are sent"


def _channels(described: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [found for found in described["channels"].values() if found["bindings"]["amqp"]["is"] == kind]
