"""What a site's own OpenAPI document says of its answers."""

import re
from typing import Any

import jsonschema_rs

_NO_SUCH_METHOD = 405


class Described:
    """The OpenAPI document at a site's address."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document

    def operation(self, method: str, path: str) -> dict[str, Any] | None:
        """The description of the call, or None for a path or a method that is not described."""
        for template, methods in self.document["paths"].items():
            if re.fullmatch(re.sub(r"{\w+}", "[^/]+", template), path):
                found: dict[str, Any] | None = methods.get(method.lower())
                return found
        return None

    def check(self, method: str, path: str, status: int, kind: str, body: Any) -> None:
        """Fail where the answer is none that the document describes; the body of JSON is decoded."""
        operation = self.operation(method, path)
        if operation is None:
            answer = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorAnswer"}}}}
            assert status in (404, _NO_SUCH_METHOD), (method, path, status)
        else:
            assert str(status) in operation["responses"], (method, path, status, body)
            answer = operation["responses"][str(status)]
        if "content" in answer:
            assert kind in answer["content"], (method, path, status, kind)
            self.validate(answer["content"][kind]["schema"], body)

    def validate(self, schema: dict[str, Any], value: Any) -> None:
        """Fail where the value does not fit the schema, which may refer to the document's own."""
        jsonschema_rs.validate(schema | {"components": self.document["components"]}, value)
