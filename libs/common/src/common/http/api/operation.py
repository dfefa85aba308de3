"""What one call takes and answers, and what serves it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from aiohttp.typedefs import Handler
from pydantic import BaseModel

Schema = dict[str, Any]
Example = dict[str, Any]

JSON = "application/json"
TEXT: Schema = {"type": "string"}


class Tag(StrEnum):
    """What calls are about, as a description groups them."""

    UPLOADS = "uploads"
    PUBLICATION = "publication"
    FILES = "files"
    SERVICE = "service"
    PAGES = "pages"


@dataclass(frozen=True)
class Body:
    """A request's body: its fields by name, those that have to be there, and its media type.

    What may be JSON may have two more forms (docs/http-api.md). They are not described: of several media types, some
    generators make clients that do not work.
    """

    name: str
    fields: Mapping[str, Schema]
    required: tuple[str, ...]
    example: Mapping[str, object]
    media_type: str = JSON


@dataclass(frozen=True)
class Operation:
    """One call. `id` is its name in generated clients.

    `content` is what it answers with 200, by media type: a model, or a schema. `examples` are such answers, by what
    they show. `answers` are the statuses beyond those that all calls with such a body have; with a status of `models`
    it answers that model, and with all other errors an ErrorAnswer. `secured`: it takes the secret as a bearer token,
    too.
    """

    id: str
    tag: Tag
    method: str
    path: str
    summary: str
    content: Mapping[str, type[BaseModel] | Schema]
    description: str = ""
    examples: Mapping[str, object] = field(default_factory=dict)
    body: Body | None = None
    parameters: Mapping[str, Schema] = field(default_factory=dict)
    headers: Mapping[str, Schema] = field(default_factory=dict)
    secured: bool = False
    answers: Mapping[int, str] = field(default_factory=dict)
    models: Mapping[int, type[BaseModel]] = field(default_factory=dict)


@dataclass(frozen=True)
class Route:
    """A call, and what serves it."""

    operation: Operation
    handler: Handler
