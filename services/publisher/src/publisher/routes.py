"""`POST /publish` and `GET /active/KEY`."""

import asyncio
import hmac

from aiohttp import web
from aiohttp.typedefs import Handler

from common.errors import StorageFault
from common.http import Refused, fields
from common.images.names import BadName, ImageKey, content_type, owner
from common.images.records import Stage
from common.local import LocalStorage
from common.stored import read_record
from publisher.activation import Activation
from publisher.handlers import Expired, Failed, Unknown, activate

_POLL = 0.05  # seconds between looks for a record
_STATUS = {Unknown: 404, Expired: 410, Failed: 422}

# What is public was uploaded by strangers, and an SVG can carry script.
_DISTRUST = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
}


def publish_route(activation: Activation, secret: str, wait: float) -> Handler:
    """The handler of `POST /publish`: 200 once the image is public.

    It first waits for thumbnails that are still being made, because the page that shows them comes next; `wait` is
    in seconds after the upload.
    """

    async def publish(request: web.Request) -> web.Response:
        given = await fields(request)
        check_secret(given, secret)
        image = _image(given)
        request["image"] = str(image)
        if given.get("crop"):
            raise Refused(400, "crop is not supported: expected secret and filename alone")
        try:
            await _wait_for_thumbnails(image, activation, wait)
            await activate(image, activation=activation)
        except (Unknown, Expired, Failed) as error:
            raise Refused(_STATUS[type(error)], str(error)) from error
        return web.json_response({"success": True})

    return publish


def active_route(bucket: LocalStorage, cache_control: str) -> Handler:
    """The handler of `GET /active/KEY`: the public file."""

    async def active(request: web.Request) -> web.StreamResponse:
        key = request.match_info["key"]
        if owner(key) is None:
            raise Refused(404, f"{key!r} is not the name of an image's file")
        headers = _DISTRUST | {"Content-Type": content_type(key), "Access-Control-Allow-Origin": "*"}
        headers["Cache-Control"] = "no-cache" if key.endswith(".json") else cache_control
        if key.endswith(".svg"):
            headers["Content-Disposition"] = "attachment"
        try:
            path = bucket.path(key)
        except StorageFault as error:
            raise Refused(404, f"there is no {key}") from error
        if await bucket.stat(key) is None:
            raise Refused(404, f"there is no {key}")
        return web.FileResponse(path, headers=headers)

    return active


def check_secret(given: dict[str, object], secret: str) -> None:
    """Raises Refused, 401 without a secret and 403 for a wrong one. Takes as long for any wrong one."""
    found = given.get("secret")
    if found is None or found == "":
        raise Refused(401, "no secret: expected the field 'secret'")
    if not isinstance(found, str) or not hmac.compare_digest(found.encode(errors="surrogatepass"), secret.encode()):
        raise Refused(403, "wrong secret")


def _image(given: dict[str, object]) -> ImageKey:
    filename = given.get("filename")
    if not isinstance(filename, str):
        raise Refused(400, "expected the field 'filename', once, with the name of an upload")
    try:
        return ImageKey.parse(filename)
    except BadName as error:
        raise Refused(400, str(error)) from error


async def _wait_for_thumbnails(image: ImageKey, activation: Activation, seconds: float) -> None:
    """Return once there is a record, or the original is not in *incoming*, or it is `seconds` old."""
    incoming = activation.buckets.incoming
    while (original := await incoming.stat(str(image))) is not None and original.age < seconds:
        if await read_record(incoming, image, Stage.BASE) is not None:
            return
        await asyncio.sleep(_POLL)
