"""The table of calls as an OpenAPI 3.1 document. Schemas come from the models that services answer with."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from common.http.api.models import ErrorAnswer
from common.http.api.operation import JSON, Body, Operation, Schema

Description = dict[str, Any]

_OF_BODIES = {400: "malformed", 408: "too slow", 413: "too large"}
_ALWAYS = {
    500: "a defect of the service",
    503: "the store, the broker or the decoders cannot be used now, or a wait is over: try again",
}
_HEADERS = {401: "WWW-Authenticate", 408: "Retry-After", 429: "Retry-After", 503: "Retry-After"}
_INTRODUCTION = (
    "A browser uploads a photo and gets its name. Smaller versions, the variants, are made in the background. The "
    "site's API server publishes the image, which makes it public. Calls that need the secret take it as the field "
    "`secret`, as a bearer token, or both. Their bodies may also be form-encoded or multipart."
)
_AT_ONE_ADDRESS = (
    " One address, that of the gateway or of the embedded default, serves all of these calls. A service that is asked "
    "at a port of its own serves some of them."
)


def document(operations: Iterable[Operation], prefix: str, *, at_one_address: bool) -> Description:
    """The document of these calls, which are below `prefix`.

    `at_one_address`: they are those of a site, and not of one service alone.
    """
    described = list(operations)
    paths: dict[str, Description] = {}
    for operation in described:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Image backend",
            "version": "1",
            "description": _INTRODUCTION + (_AT_ONE_ADDRESS if at_one_address else ""),
        },
        "servers": [{"url": prefix or "/"}],
        "tags": [{"name": str(tag)} for tag in dict.fromkeys(operation.tag for operation in described)],
        "paths": paths,
        "components": {
            "schemas": _schemas(described),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _described(operation: Operation) -> Description:
    content = {kind: _content(what, operation.examples) for kind, what in operation.content.items()}
    described: Description = {
        "operationId": operation.id,
        "tags": [str(operation.tag)],
        "summary": operation.summary,
        "responses": {"200": {"description": "done", "content": content}} | _others(operation),
    }
    if operation.description:
        described["description"] = operation.description
    if operation.secured:
        described["security"] = [{"bearer": []}, {}]
    parameters = [
        {"name": name, "in": where, "required": where == "path", "schema": schema}
        for where, given in (("path", operation.parameters), ("header", operation.headers))
        for name, schema in given.items()
    ]
    if parameters:
        described["parameters"] = parameters
    if operation.body is not None:
        media: Description = {"schema": _reference(operation.body.name)}
        if operation.body.example:
            media["example"] = dict(operation.body.example)
        described["requestBody"] = {"required": True, "content": {operation.body.media_type: media}}
    return described


def _others(operation: Operation) -> dict[str, Description]:
    """The answers with other statuses than 200. Each error has its schema."""
    answers = {**_ALWAYS, **(_OF_BODIES if operation.body else {}), **operation.answers}
    others: dict[str, Description] = {}
    for status, what in sorted(answers.items()):
        others[str(status)] = {"description": what}
        if status >= HTTPStatus.BAD_REQUEST:
            others[str(status)]["content"] = {JSON: _content(operation.models.get(status, ErrorAnswer), {})}
        if status in _HEADERS:
            others[str(status)]["headers"] = {_HEADERS[status]: {"schema": {"type": "string"}}}
    return others


def _content(what: type[BaseModel] | Schema, examples: Mapping[str, object]) -> Description:
    content: Description = {"schema": what if isinstance(what, dict) else _reference(what.__name__)}
    if examples:
        content["examples"] = {name: {"value": value} for name, value in examples.items()}
    return content


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _schemas(operations: Iterable[Operation]) -> dict[str, Schema]:
    """The schemas of all bodies and answers, by name."""
    models: set[type[BaseModel]] = {ErrorAnswer}
    bodies: dict[str, Schema] = {}
    for operation in operations:
        answers = (*operation.content.values(), *operation.models.values())
        models |= {what for what in answers if not isinstance(what, dict)}
        if operation.body is not None:
            bodies[operation.body.name] = _body_schema(operation.body)
    ordered = sorted(models, key=lambda model: model.__name__)
    _, made = models_json_schema(
        [(model, "serialization") for model in ordered], ref_template="#/components/schemas/{model}"
    )
    return dict(sorted({**made["$defs"], **bodies}.items()))


def _body_schema(body: Body) -> Schema:
    return {"type": "object", "required": list(body.required), "properties": dict(body.fields)}
