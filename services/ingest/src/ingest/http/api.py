"""The OpenAPI descriptions of ingest's endpoints."""

from common.http.openapi import TEXT, Operation, object_schema
from common.images.names import KEY_SCHEMA as KEY

_STATUS = {
    "type": "object",
    "required": ["key", "state", "settled", "records"],
    "properties": {
        "key": KEY,
        "state": {"enum": ["processing", "ready", "active", "failed", "unknown"]},
        "settled": {"type": "boolean"},
        "records": {"type": "object"},
        "reason": TEXT,
    },
}
_UPLOADED = {
    "type": "object",
    "required": ["success", "filename"],
    "properties": {"success": {"const": True}, "filename": KEY, "record": {"type": "object"}},
}
_TOO_MANY = "this client has too many of them at once: try again when one has ended"
_LIST = {"type": "array", "items": TEXT}

UPLOAD = Operation(
    "Store an image. The answer has its name, which every other call takes. Once the image is published, everybody can "
    "fetch the original as it was uploaded. Its EXIF may tell where it was taken, unless the service removes the "
    "location (STRIP_LOCATION). It shows the whole picture, also where the variants show a crop. With Prefer: wait=N "
    "the answer waits up to N seconds for the variants, and has their record; an image that cannot be rendered is then "
    "refused",
    {"application/json": _UPLOADED},
    headers={"Prefer": {"type": "string", "examples": ["wait=10", "respond-async"]}},
    fields={"file": {"type": "string", "format": "binary"}},
    required=("file",),
    forms=("multipart/form-data",),
    answers={400: "no file, or not an image of an accepted format", 413: "too many bytes or pixels", 429: _TOO_MANY},
)
STATUS = Operation(
    "The state of an image, and its records",
    {"application/json": _STATUS},
    parameters={"key": KEY},
    answers={400: "not the name of an image"},
)
EVENTS = Operation(
    "The status whenever it changes, as server-sent events; the stream ends when the status is settled",
    {"text/event-stream": {"type": "object", "properties": {"event": {"const": "status"}, "data": TEXT, "id": TEXT}}},
    parameters={"key": KEY},
    headers={"Last-Event-ID": TEXT},
    answers={204: "the settled status was sent before", 400: "not the name of an image", 429: _TOO_MANY},
)
CAPABILITIES = Operation(
    "The version, the formats that the service reads and writes, found by trying, its limits and sizes",
    {
        "application/json": object_schema(
            version=TEXT,
            reads=_LIST,
            writes=_LIST,
            walls={"type": "object"},
            modern=_LIST,
            limits={"type": "object"},
            sizes={"type": "array"},
        )
    },
)
_IS_CURRENT = "the browser has the newest already"
PAGE = Operation(
    "A page on which people watch photos go through",
    {"text/html": TEXT},
    headers={"If-None-Match": TEXT},
    answers={304: _IS_CURRENT},
)
PAGE_FILE = Operation(
    "A file of that page, such as image-backend.js, the client that a site may take",
    {"text/javascript": TEXT, "text/css": TEXT, "image/svg+xml": TEXT},
    parameters={"file": TEXT},
    headers={"If-None-Match": TEXT},
    answers={304: _IS_CURRENT, 404: "the page has no such file"},
)
