"""What the services have really answered, with the names of one image; tests compare them with answers."""

import json

from common.http.api.operation import Example

_IMAGE = "1475660224_0882910455"
_KEY = f"{_IMAGE}.jpg"
_NEW = "1475660311_5804801623.jpg"
_SECRET = "the API server's secret"  # noqa: S105 - it says what stands there


def _variant(suffix: str, width: int, height: int, size: int) -> Example:
    return {"key": f"{_IMAGE}{suffix}.jpg", "format": "jpg", "width": width, "height": height, "bytes": size}


_RECORD: Example = {
    "version": 1,
    "stage": "base",
    "configuration": "a895b8e4835a0a48",
    "original": {"key": _KEY, "width": 1600, "height": 1200, "frames": 1, "bytes": 741760},
    "variants": [_variant("BI", 1500, 1125, 591872), _variant("MI", 400, 300, 18877), _variant("SI", 200, 200, 5798)],
    "replaced": [],
    "damaged": False,
    "thumbhash": "nSgCFYhTNqogV3hEZBt0rN/u/f3e",
    "colour": "#876f6a",
}
_FAILED_RECORD: Example = {
    "version": 1,
    "stage": "base",
    "configuration": "a895b8e4835a0a48",
    "variants": [],
    "replaced": [],
    "failed": {"class": "broken", "reason": "the image cannot be decoded"},
    "damaged": False,
}


def _status(state: str, *, settled: bool, **more: object) -> Example:
    return {"key": _KEY, "state": state, "settled": settled, "records": {}, **more}


def _geometry(size: int, flags: str) -> Example:
    side = float(size)
    return {"width": side, "height": side, "x": None, "y": None, "flags": flags, "text": f"{size}x{size}{flags}"}


def _size(suffix: str, *steps: Example) -> Example:
    return {"suffix": suffix, "steps": list(steps), "quality": 90, "interlaced": False}


UPLOADED: Example = {"success": True, "filename": _KEY}
UPLOADED_AND_RENDERED: Example = {**UPLOADED, "record": _RECORD}
PROCESSING = _status("processing", settled=False)
READY = _status("ready", settled=False, records={"base": _RECORD})
ACTIVE = _status("active", settled=True, records={"base": _RECORD})
FAILED = _status("failed", settled=True, records={"base": _FAILED_RECORD}, reason=_FAILED_RECORD["failed"]["reason"])
UNKNOWN = _status("unknown", settled=True, reason="there is no such image")
STREAM = f"id: settled\nevent: status\ndata: {json.dumps(UNKNOWN, separators=(',', ':'))}\n\n"
CAPABILITIES: Example = {
    "version": "0.1.0",
    "reads": ["jpg", "png", "gif", "svg"],
    "writes": ["jpg", "png", "gif", "webp", "avif"],
    "walls": {"landlock": 7, "seccomp": True},
    "modern": [],
    "limits": {"bytes": 104857600, "pixels": 100000000},
    "sizes": [
        _size("BI", {"geometry": _geometry(1500, ">")}),
        _size("MI", {"geometry": _geometry(400, ">")}),
        _size(
            "SI",
            {"geometry": _geometry(200, "^")},
            {"geometry": _geometry(200, ""), "gravity": "center", "background": [255, 255, 255, 255]},
        ),
    ],
}
DONE: Example = {"success": True}
NEW_IMAGE: Example = {"success": True, "filename": _NEW}
ACTIVITY: Example = {"renderings_waiting": 5, "decoders_busy": 2, "decoders": 4, "photos_per_second": 1.4}
LIVE: Example = {"alive": True}
IS_READY: Example = {"ready": True, "storage": "ok", "broker": "ok", "decoders": "ok", "events": "ok"}

# What clients send.
PUBLICATION: Example = {"secret": _SECRET, "filename": _KEY, "crop": "50%x50%+300+200"}
RECROP: Example = {"secret": _SECRET, "filename": _KEY, "crop": "600x400+10+10"}
ROTATION: Example = {"secret": _SECRET, "filename": _KEY, "rotation": -90}
DELETION: Example = {"secret": _SECRET, "filenames": [_KEY, _NEW]}
