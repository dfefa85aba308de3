"""What the endpoints of ingest take and answer."""

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
_LIST = {"type": "array", "items": TEXT}

UPLOAD = Operation(
    "Store an image; its name is needed for everything else. Once it is published, everybody can fetch the original as "
    "it was uploaded: its EXIF tells where it was taken, unless the service removes that (STRIP_LOCATION), and it "
    "shows all of the picture, also where a crop shows a part",
    {"application/json": object_schema(success={"const": True}, filename=KEY)},
    fields={"file": {"type": "string", "format": "binary"}},
    required=("file",),
    forms=("multipart/form-data",),
    answers={400: "no file, or not an image that is accepted", 413: "too many bytes or pixels"},
)
STATUS = Operation(
    "How far an image has come",
    {"application/json": _STATUS},
    parameters={"key": KEY},
    answers={400: "not the name of an image"},
)
EVENTS = Operation(
    "The status whenever it is another one, until it is settled, as server-sent events",
    {"text/event-stream": {"type": "object", "properties": {"event": {"const": "status"}, "data": TEXT, "id": TEXT}}},
    parameters={"key": KEY},
    headers={"Last-Event-ID": TEXT},
    answers={204: "all has been told", 400: "not the name of an image"},
)
CAPABILITIES = Operation(
    "Formats that were seen to be read and written, limits and sizes",
    {
        "application/json": object_schema(
            reads=_LIST,
            writes=_LIST,
            walls={"type": "object"},
            modern=_LIST,
            limits={"type": "object"},
            sizes={"type": "array"},
        )
    },
)
