"""What the endpoints take and answer, as OpenAPI 3.1 and as a page. Each route is described where it is wired."""

import html
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
FORMS = ("application/json", "application/x-www-form-urlencoded", "multipart/form-data")
_ERROR: Schema = {
    "type": "object",
    "required": ["success", "error"],
    "properties": {"success": {"const": False}, "error": TEXT},
}
_BODIES = {400: "malformed", 408: "too slow", 413: "too large"}
_HEADERS = {401: "WWW-Authenticate", 408: "Retry-After", 429: "Retry-After", 503: "Retry-After"}
_ALWAYS = {503: "the store or the broker is away: try again"}


@dataclass(frozen=True)
class Operation:
    """What one endpoint does. `answers` are the statuses beyond those that all with such a body have.

    `fields` are those of the body, in any of FORMS, or of `forms`; `content` is what it answers with 200, by its type.
    `secured`: it takes the secret as a bearer token, too.
    """

    summary: str
    content: Mapping[str, Schema]
    fields: Mapping[str, Schema] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    forms: tuple[str, ...] = FORMS
    parameters: Mapping[str, Schema] = field(default_factory=dict)
    headers: Mapping[str, Schema] = field(default_factory=dict)
    secured: bool = False
    answers: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Route:
    """A method and a path below the prefix, what serves it, and what it does."""

    method: str
    path: str
    handler: Handler
    operation: Operation


def object_schema(**properties: Schema) -> Schema:
    """An object with exactly these properties, all of them there."""
    return {"type": "object", "required": list(properties), "properties": properties}


def document(service: str, routes: Iterable[Route], prefix: str) -> dict[str, Any]:
    """The OpenAPI document."""
    paths: dict[str, Any] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _described(route.operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": f"Image backend: {service}", "version": "1"},
        "servers": [{"url": prefix or "/"}],
        "paths": paths,
        "components": {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
    }


def _described(operation: Operation) -> dict[str, Any]:
    answers = {**_ALWAYS, **(_BODIES if operation.fields else {}), **operation.answers}
    content = {kind: {"schema": schema} for kind, schema in operation.content.items()}
    described: dict[str, Any] = {
        "summary": operation.summary,
        "responses": {"200": {"description": "done", "content": content}} | _errors(answers),
    }
    if operation.secured:
        described["security"] = [{"bearer": []}, {}]
    parameters = [
        {"name": name, "in": where, "required": where == "path", "schema": schema}
        for where, given in (("path", operation.parameters), ("header", operation.headers))
        for name, schema in given.items()
    ]
    if parameters:
        described["parameters"] = parameters
    if operation.fields:
        schema = {"type": "object", "required": list(operation.required), "properties": dict(operation.fields)}
        body = {kind: {"schema": schema} for kind in operation.forms}
        described["requestBody"] = {"required": True, "content": body}
    return described


def _errors(answers: Mapping[int, str]) -> dict[str, Any]:
    described: dict[str, Any] = {}
    for status, what in sorted(answers.items()):
        described[str(status)] = {"description": what}
        if status >= web.HTTPBadRequest.status_code:
            described[str(status)]["content"] = {"application/json": {"schema": _ERROR}}
        if status in _HEADERS:
            described[str(status)]["headers"] = {_HEADERS[status]: {"schema": TEXT}}
    return described


def html_page(described: dict[str, Any]) -> str:
    """The document for people, without anything from elsewhere."""
    prefix = described["servers"][0]["url"].rstrip("/")
    lines = [f"<!doctype html><meta charset=utf-8><title>{html.escape(described['info']['title'])}</title>{_STYLE}"]
    lines.append(f"<h1>{html.escape(described['info']['title'])}</h1>")
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            lines.append(f"<h2><code>{method.upper()} {html.escape(prefix + path)}</code></h2>")
            lines.append(f"<p>{html.escape(operation['summary'])}</p>{_takes(operation)}<table>")
            lines += [
                f"<tr><td><code>{status}</code><td>{html.escape(answer['description'])}"
                for status, answer in operation["responses"].items()
            ]
            lines.append("</table>")
    return "\n".join(lines)


def _takes(operation: dict[str, Any]) -> str:
    if "requestBody" not in operation:
        return ""
    content = operation["requestBody"]["content"]
    schema = next(iter(content.values()))["schema"]
    fields = (
        f"<code>{html.escape(name)}</code>{'' if name in schema['required'] else ' (optional)'}"
        for name in schema["properties"]
    )
    return f"<p>Fields: {', '.join(fields)}, as {html.escape(', '.join(content))}.</p>"


_STYLE = (
    "<style>body{font:16px/1.5 sans-serif;max-width:50em;margin:2em auto;padding:0 1em}"
    "h2{margin-top:2em}td{padding:0 1em 0 0;vertical-align:top}code{background:#eee;padding:0 .2em}</style>"
)
