"""The OpenAPI document by itself: that it is valid, and says what a generated client needs."""

from typing import Any

import jsonschema_rs
import pytest
from openapi_spec_validator import validate

from common.http.api import calls, common_calls
from common.http.api.document import document

DOCUMENT = document(calls.ALL, "/images", at_one_address=True)
OPERATIONS: list[tuple[str, dict[str, Any]]] = [
    (f"{method.upper()} {path}", operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]


def test_it_is_valid() -> None:
    validate(DOCUMENT)
    validate(document(common_calls.ALL, "", at_one_address=False))


def test_each_call_has_a_name_of_its_own_and_a_tag() -> None:
    names = [operation["operationId"] for _, operation in OPERATIONS]
    assert len(set(names)) == len(names) == len(calls.ALL)
    tags = {tag["name"] for tag in DOCUMENT["tags"]}
    assert all(set(operation["tags"]) <= tags and operation["tags"] for _, operation in OPERATIONS)


def test_answers_in_json_have_named_schemas() -> None:
    documents = {"getOpenApi", "getAsyncApi"}  # whose schemas are elsewhere
    for call, operation in OPERATIONS:
        for status, answer in operation["responses"].items():
            schema = answer.get("content", {}).get("application/json", {}).get("schema")
            if schema is not None and operation["operationId"] not in documents:
                assert set(schema) == {"$ref"}, (call, status)
            if int(status) >= 400:
                assert schema is not None, (call, status)


@pytest.mark.parametrize(("call", "operation"), OPERATIONS)
def test_examples_fit_their_schemas(call: str, operation: dict[str, Any]) -> None:
    contents = [answer.get("content", {}) for answer in operation["responses"].values()]
    contents.append(operation.get("requestBody", {}).get("content", {}))
    for kind, content in ((kind, content) for all_kinds in contents for kind, content in all_kinds.items()):
        examples = [example["value"] for example in content.get("examples", {}).values()]
        examples += [content["example"]] if "example" in content else []
        for example in examples:
            schema = content["schema"] | {"components": DOCUMENT["components"]}
            assert jsonschema_rs.is_valid(schema, example), (call, kind, example)
