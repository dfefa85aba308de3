"""The AsyncAPI document as a page, without a script."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from common.messaging import asyncapi

_PAGES = Path(__file__).parent / "pages"


@cache
def events_page() -> str:
    """The page, which is made once. Every text of the document is escaped."""
    described = asyncapi.document()
    channels = described["channels"]
    exchanged = {
        name: channel for name, channel in channels.items() if channel["bindings"]["amqp"]["is"] == "routingKey"
    }
    queues = {name: channel for name, channel in channels.items() if name not in exchanged}
    schemas = described["components"]["schemas"]
    events = [
        {
            "name": name,
            "summary": channel["summary"],
            "address": channel["address"],
            "queues": [queue for queue, other in queues.items() if name in other["messages"]],
            "fields": _fields(schemas[name]["properties"]["data"], schemas),
            "example": json.dumps(described["components"]["messages"][name]["examples"][0]["payload"], indent=2),
        }
        for name, channel in exchanged.items()
    ]
    environment = Environment(loader=FileSystemLoader(_PAGES), autoescape=True, undefined=StrictUndefined)
    return environment.get_template("events.html").render(
        info=described["info"],
        servers=described["servers"],
        exchange=next(iter(exchanged.values()))["bindings"]["amqp"]["exchange"]["name"],
        events=events,
        queues=queues,
    )


def _fields(data: dict[str, Any], schemas: dict[str, Any]) -> list[dict[str, Any]]:
    """The fields of an event's data: the name, what it may be, and whether it has to be there."""
    schema = _resolved(data, schemas)
    return [
        {"name": name, "kind": _kind(field, schemas), "required": name in schema.get("required", ())}
        for name, field in schema.get("properties", {}).items()
    ]


def _kind(field: dict[str, Any], schemas: dict[str, Any]) -> str:
    """What a field may be, in words."""
    if "anyOf" in field:
        return " or ".join(_kind(one, schemas) for one in field["anyOf"])
    schema = _resolved(field, schemas)
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "properties" in schema:
        return f"an object with {', '.join(schema['properties'])}"
    return str(schema["type"])


def _resolved(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    return found
