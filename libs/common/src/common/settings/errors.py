"""The error line of a setting that is missing or malformed: it names the variable and what was expected."""

import re
from collections.abc import Collection, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

# A setting whose name has one of these parts: its value is not shown.
_SECRET = ("secret", "url", "v5_images", "endpoint")
_MOST = 60  # characters of a value that are shown


def error_lines(kind: type[BaseModel], error: ValidationError, reported: Collection[str] = ()) -> list[str]:
    """A line for each field of the settings `kind` that is wrong, but for the variables already `reported`."""
    found = error.errors(include_url=False)
    return [_error_line(kind, one) for one in found if str(one["loc"][0]).upper() not in reported]


def _error_line(kind: type[BaseModel], found: Mapping[str, Any]) -> str:
    name = str(found["loc"][0])
    described = (kind.model_fields[name].description or "").replace("`", "")
    if found["type"] == "missing":
        return f"{name.upper()} is not set: expected {described}"
    text = str(found["input"])
    shown = "" if any(part in name for part in _SECRET) else f" {text[:_MOST]!r}{'…' if len(text) > _MOST else ''}"
    return f"{name.upper()}{shown} cannot be used: {_reason(kind, name, found) or f'expected {described}'}"


def _reason(kind: type[BaseModel], name: str, found: Mapping[str, Any]) -> str | None:
    """What was expected, if the validation error says it."""
    if found["type"] == "value_error":
        return str(found["ctx"]["error"])
    if "expected" in found.get("ctx", {}):
        return f"expected {found['ctx']['expected'].replace(chr(39), '')}"
    if re.search(r"int|float|number|than", found["type"]):
        return f"expected {_number(kind.model_json_schema()['properties'][name])}"
    return None


def _number(schema: Mapping[str, Any]) -> str:
    what = "a whole number" if schema["type"] == "integer" else "a number"
    least, most, above = (schema.get(bound) for bound in ("minimum", "maximum", "exclusiveMinimum"))
    if least is not None and most is not None:
        return f"{what} from {least} to {most}"
    if above is not None:
        return f"{what} above {above:g}"
    return what if least is None else f"{what} from {least:g} on"
