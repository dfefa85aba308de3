"""What the endpoints of publisher take and answer."""

from common.http.openapi import TEXT, Operation, object_schema
from common.images.formats import Format
from common.images.names import KEY_SCHEMA as KEY
from common.images.names import content_type

_SECRET = {"type": "string", "minLength": 1, "description": "unless `Authorization: Bearer SECRET` carries it"}
_CROP = {"type": "string", "description": "WxH+X+Y, in pixels, or with % for W and H", "examples": ["9x9+0+0"]}
_DONE = {"application/json": object_schema(success={"const": True})}
_WARNING = {"type": "string", "description": "there only if the store has not removed all of the old image yet"}
_NAMED = object_schema(success={"const": True}, filename=KEY)
_RENAMED = {"application/json": _NAMED}
_ROTATED = {"application/json": _NAMED | {"properties": {**_NAMED["properties"], "warning": _WARNING}}}
_REFUSED = {401: "no secret", 403: "wrong secret"}
_FAILED = {422: "the image cannot be shown; the reason is in the message"}

PUBLISH = Operation(
    "Make an image public; `crop` says which part of it its variants show. The original becomes public, too, with all "
    "of the picture and, unless it was removed at upload, the location where it was taken",
    _DONE,
    fields={"secret": _SECRET, "filename": KEY, "crop": _CROP},
    required=("filename",),
    secured=True,
    headers={"Prefer": {"type": "string", "examples": ["respond-async"]}},
    answers={**_REFUSED, 404: "unknown or deleted", 410: "expired", **_FAILED},
)
RECROP = Operation(
    "A public copy under a new name that shows another part, or all, of the image",
    _RENAMED,
    fields={"secret": _SECRET, "filename": KEY, "crop": _CROP},
    required=("filename",),
    secured=True,
    answers={**_REFUSED, 404: "not public, or deleted", **_FAILED},
)
ROTATE = Operation(
    "The image turned clockwise, public under a new name; the old one is deleted",
    _ROTATED,
    fields={"secret": _SECRET, "filename": KEY, "rotation": {"enum": [90, -90, 180, "90", "-90", "180"]}},
    required=("filename",),
    secured=True,
    answers={**_REFUSED, 404: "not public, or deleted", **_FAILED},
)
DELETE = Operation(
    "Remove images for good; unknown ones are fine",
    _DONE,
    fields={"secret": _SECRET, "filenames": {"anyOf": [KEY, {"type": "array", "items": KEY, "minItems": 1}]}},
    required=("filenames",),
    secured=True,
    answers={**_REFUSED, 503: "deleted, and not all of it removed yet: the next sweep goes on, or the same call again"},
)
ACTIVE = Operation(
    "A public file",
    {content_type(f".{kind}"): {} for kind in Format} | {"application/json": {}, "text/plain": TEXT},
    parameters={"key": TEXT},
    answers={206: "a part of it", 304: "not changed", 404: "there is no such file", 416: "no such part"},
)
