"""The table of all calls. A service serves some of them; one address has all of them."""

from typing import get_args

from common.http.api import common_calls, examples
from common.http.api.models import (
    ActivityAnswer,
    CapabilitiesAnswer,
    DoneAnswer,
    NewImageAnswer,
    UploadAnswer,
)
from common.http.api.operation import JSON, TEXT, Body, Operation, Schema, Tag
from common.images.formats import Format
from common.images.names import KEY_SCHEMA as KEY
from common.images.names import content_type
from common.images.records import Record
from common.imaging.rotate import Rotation
from common.storage.status import Status

MOST_NAMES = 1000  # in one call of `/delete`

_BINARY: Schema = {"type": "string", "format": "binary"}
_SECRET: Schema = {"type": "string", "minLength": 1, "description": "unless `Authorization: Bearer SECRET` carries it"}
_CROP: Schema = {"type": "string", "description": "WxH+X+Y, in pixels, or with % for W and H", "examples": ["9x9+0+0"]}
_TURN: Schema = {
    "description": "degrees, clockwise",
    "default": 90,
    "anyOf": [
        {"type": "integer", "enum": list(get_args(Rotation))},
        {"type": "string", "enum": [str(angle) for angle in get_args(Rotation)]},
    ],
}
_REFUSED = {401: "no secret", 403: "wrong secret"}
_FAILED = {422: "the image cannot be shown; the reason is in the message"}
_TOO_MANY = "this client has too many of them at once: try again when one has ended"
_NO_NAME = "not the name of an image"
_IS_CURRENT = "the browser has the newest already"
_NO_PAGE = "the service does not serve the page (DEMO_PAGE)"
_KEY = {"key": KEY}

UPLOAD = Operation(
    "uploadImage",
    Tag.UPLOADS,
    "POST",
    "/upload",
    "Store an image",
    {JSON: UploadAnswer},
    "The answer has the image's name, which every other call takes. Once the image is published, everybody can fetch "
    "the original as it was uploaded. Its EXIF may tell where it was taken, unless the service removes the location "
    "(STRIP_LOCATION). It shows the whole picture, also where the variants show a crop. With `Prefer: wait=N` the "
    "answer waits up to N seconds for the variants, and has their record; an image that cannot be rendered is then "
    "refused.",
    examples={"stored": examples.UPLOADED, "rendered": examples.UPLOADED_AND_RENDERED},
    body=Body("Upload", {"file": _BINARY}, ("file",), {}, "multipart/form-data"),
    headers={"Prefer": {"type": "string", "examples": ["wait=10", "respond-async"]}},
    answers={400: "no file, or not an image of an accepted format", 413: "too many bytes or pixels", 429: _TOO_MANY},
)
STATUS = Operation(
    "getStatus",
    Tag.UPLOADS,
    "GET",
    "/status/{key}",
    "The state of an image, and its records",
    {JSON: Status},
    examples={
        "processing": examples.PROCESSING,
        "ready": examples.READY,
        "active": examples.ACTIVE,
        "failed": examples.FAILED,
        "unknown": examples.UNKNOWN,
    },
    parameters=_KEY,
    answers={400: _NO_NAME},
)
EVENTS = Operation(
    "followStatus",
    Tag.UPLOADS,
    "GET",
    "/events/{key}",
    "The status whenever it changes, as server-sent events",
    {"text/event-stream": {"description": "events called `status`"}},
    "The data of each event are what `/status/{key}` answers. The stream ends when the status is settled.",
    examples={"a deleted image": examples.STREAM},
    parameters=_KEY,
    headers={"Last-Event-ID": TEXT},
    answers={204: "the settled status was sent before", 400: _NO_NAME, 429: _TOO_MANY},
)
CAPABILITIES = Operation(
    "getCapabilities",
    Tag.UPLOADS,
    "GET",
    "/capabilities",
    "What the service can do",
    {JSON: CapabilitiesAnswer},
    examples={"default settings": examples.CAPABILITIES},
)
PUBLISH = Operation(
    "publishImage",
    Tag.PUBLICATION,
    "POST",
    "/publish",
    "Make an image public",
    {JSON: DoneAnswer},
    "`crop` says which part of it its variants show. The original becomes public, too, with all of the picture and, "
    "unless it was removed at upload, the location where it was taken. With `Prefer: respond-async` the answer does "
    "not wait for variants.",
    examples={"done": examples.DONE},
    body=Body("Publication", {"secret": _SECRET, "filename": KEY, "crop": _CROP}, ("filename",), examples.PUBLICATION),
    secured=True,
    headers={"Prefer": {"type": "string", "examples": ["respond-async"]}},
    answers={**_REFUSED, 404: "unknown or deleted", 410: "expired", **_FAILED},
)
RECROP = Operation(
    "recropImage",
    Tag.PUBLICATION,
    "POST",
    "/recrop",
    "Make a public copy that shows another part of an image, or all of it",
    {JSON: NewImageAnswer},
    "The copy has a new name. The old image stays.",
    examples={"done": examples.NEW_IMAGE},
    body=Body("Recrop", {"secret": _SECRET, "filename": KEY, "crop": _CROP}, ("filename",), examples.RECROP),
    secured=True,
    answers={**_REFUSED, 404: "not public, or deleted", **_FAILED},
)
ROTATE = Operation(
    "rotateImage",
    Tag.PUBLICATION,
    "POST",
    "/rotate",
    "Turn a public image clockwise",
    {JSON: NewImageAnswer},
    "The turned image has a new name. The old one is deleted.",
    examples={"done": examples.NEW_IMAGE},
    body=Body("Rotation", {"secret": _SECRET, "filename": KEY, "rotation": _TURN}, ("filename",), examples.ROTATION),
    secured=True,
    answers={**_REFUSED, 404: "not public, or deleted", **_FAILED},
)
DELETE = Operation(
    "deleteImages",
    Tag.PUBLICATION,
    "POST",
    "/delete",
    "Remove images for good; unknown ones are fine",
    {JSON: DoneAnswer},
    examples={"done": examples.DONE},
    body=Body(
        "Deletion",
        {
            "secret": _SECRET,
            "filenames": {"anyOf": [KEY, {"type": "array", "items": KEY, "minItems": 1, "maxItems": MOST_NAMES}]},
        },
        ("filenames",),
        examples.DELETION,
    ),
    secured=True,
    answers={**_REFUSED, 503: "deleted, and not all of it removed yet: the next sweep goes on, or the same call again"},
)
ACTIVE = Operation(
    "getPublicFile",
    Tag.FILES,
    "GET",
    "/active/{key}",
    "A public file: an original, a variant or a record",
    {content_type(f".{kind}"): _BINARY for kind in Format} | {JSON: Record, "text/plain": TEXT},
    "Only where the public bucket is a folder. On S3, its server answers.",
    parameters={"key": TEXT},
    answers={
        206: "a part of it",
        304: "not changed",
        404: "there is no such file, or public files are on S3",
        416: "no such part",
    },
)
PAGE = Operation(
    "getPage",
    Tag.PAGES,
    "GET",
    "/",
    "A page on which people watch photos go through",
    {"text/html": TEXT},
    headers={"If-None-Match": TEXT},
    answers={304: _IS_CURRENT, 404: _NO_PAGE},
)
PAGE_ACTIVITY = Operation(
    "getActivity",
    Tag.PAGES,
    "GET",
    "/page/activity",
    "What the machine is doing, for that page",
    {JSON: ActivityAnswer},
    examples={"busy": examples.ACTIVITY},
    answers={404: _NO_PAGE},
)
PAGE_FILE = Operation(
    "getPageFile",
    Tag.PAGES,
    "GET",
    "/page/{file}",
    "A file of that page, such as image-backend.js, the client that a site may take",
    {"text/javascript": TEXT, "text/css": TEXT, "image/svg+xml": TEXT},
    parameters={"file": TEXT},
    headers={"If-None-Match": TEXT},
    answers={304: _IS_CURRENT, 404: f"the page has no such file, or {_NO_PAGE}"},
)

ALL = (
    UPLOAD,
    STATUS,
    EVENTS,
    CAPABILITIES,
    PUBLISH,
    RECROP,
    ROTATE,
    DELETE,
    ACTIVE,
    *common_calls.ALL,
    PAGE,
    PAGE_ACTIVITY,
    PAGE_FILE,
)
