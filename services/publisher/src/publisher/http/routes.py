"""The HTTP calls of the API server, and `GET /active/KEY`."""

from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Handler

from common.errors import NoSuchKey, StorageFault
from common.http import RequestRefused, read_fields
from common.http.api.models import Answer, DoneAnswer, NewImageAnswer
from common.http.preferences import RESPOND_ASYNC, applied, preferences
from common.images.names import ImageKey, content_type, image_name_of
from common.images.sizes import Crop
from common.storage.image_store import is_deleted, wait_for_record
from common.storage.local import LocalStorage
from publisher.activation import activate
from publisher.context import EditContext, PublisherContext
from publisher.deletion import delete_images
from publisher.edits import check_crop, recrop_image, rotate_image
from publisher.errors import EditImpossible, ImageFailed, ImageUnknown, UploadExpired
from publisher.http import requests
from publisher.http.measured import measured_command

_STATUS = {ImageUnknown: 404, UploadExpired: 410, ImageFailed: 422, EditImpossible: 400}

# Anybody may have uploaded what is public, and an SVG can contain script.
_DISTRUST = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
}

Given = dict[str, object]
SecretCall = Callable[[web.Request, Given], Awaitable[web.Response]]


def _with_secret(command: str, secret: str, call: SecretCall) -> Handler:
    """The handler of a call with a secret: it reads the body, checks the secret, and then calls.

    Metrics have it by the name of its `command`.

    What the call raises becomes the status of _STATUS. Every other exception is translated by `common/http/app.py`.
    """

    async def handler(request: web.Request) -> web.Response:
        try:
            with measured_command(command):
                given = await read_fields(request)
                requests.check_secret(request.headers.getall("Authorization", []), given, secret)
                return await call(request, given)
        except (ImageUnknown, UploadExpired, ImageFailed, EditImpossible) as error:
            raise RequestRefused(_STATUS[type(error)], str(error)) from error

    return handler


def publish_route(context: EditContext, secret: str, wait: float) -> Handler:
    """The handler of `POST /publish`: 200 once the image is public.

    It first waits for variants that are being rendered, because the site shows them next. `wait` is in seconds after
    the upload. With `Prefer: respond-async` it does not wait.
    """

    async def publish(request: web.Request, given: Given) -> web.Response:
        image, crop = requests.image(given), requests.crop(given)
        request["image"] = str(image)
        waits = RESPOND_ASYNC not in preferences(request)
        if crop is not None:
            await _check_crop(image, crop, context)
        await activate(image, context=context, crop=crop, wait=wait if waits and crop is None else 0)
        if waits and crop is not None:
            await _wait_for_crop(image, crop, context, wait)
            if await is_deleted(image, buckets=context.buckets):
                raise ImageUnknown(f"{image} was deleted")
        return _answered(DoneAnswer(success=True), headers=None if waits else applied(RESPOND_ASYNC))

    return _with_secret("publish", secret, publish)


def recrop_route(context: EditContext, secret: str) -> Handler:
    """The handler of `POST /recrop`: 200 with the name of the new image once that is public."""

    async def recrop(request: web.Request, given: Given) -> web.Response:
        image, crop = requests.image(given), requests.crop(given)
        request["image"] = str(image)
        return _answered(NewImageAnswer(success=True, filename=await recrop_image(image, crop, context=context)))

    return _with_secret("recrop", secret, recrop)


def rotate_route(context: EditContext, secret: str) -> Handler:
    """The handler of `POST /rotate`: 200 with the name of the new image once that is public and the old one is deleted.

    If something of the old image could not be removed, the answer has a `warning`.
    """

    async def rotate(request: web.Request, given: Given) -> web.Response:
        image, rotation = requests.image(given), requests.rotation(given)
        request["image"] = str(image)
        new, warning = await rotate_image(image, rotation, context=context)
        return _answered(NewImageAnswer(success=True, filename=new, warning=warning))

    return _with_secret("rotate", secret, rotate)


def delete_route(context: PublisherContext, secret: str) -> Handler:
    """The handler of `POST /delete`: 200 once all known keys of the images are removed; unknown images are fine.

    503 if something could not be removed. The next sweep removes it, and so does the same call again.
    """

    async def remove(_: web.Request, given: Given) -> web.Response:
        images = set(requests.images(given))
        await delete_images(*images, buckets=context.buckets, plan=context.plan, outbox=context.outbox)
        return _answered(DoneAnswer(success=True))

    return _with_secret("delete", secret, remove)


def active_route(bucket: LocalStorage, cache_control: str) -> Handler:
    """The handler of `GET /active/KEY`: the public file."""

    async def active(request: web.Request) -> web.StreamResponse:
        key = request.match_info["key"]
        if image_name_of(key) is None:
            raise RequestRefused(404, f"{key!r} is not the name of an image's file")
        headers = _DISTRUST | {"Content-Type": content_type(key), "Access-Control-Allow-Origin": "*"}
        headers["Cache-Control"] = "no-cache" if key.endswith(".json") else cache_control
        if key.lower().endswith(".svg"):
            headers["Content-Disposition"] = "attachment"
        try:
            path = bucket.path(key)
        except StorageFault as error:
            raise RequestRefused(404, f"there is no {key}") from error
        if await bucket.stat(key) is None:
            raise RequestRefused(404, f"there is no {key}")
        return web.FileResponse(path, headers=headers)

    return active


def _answered(answer: Answer, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response(answer.as_json(), headers=headers)


async def _check_crop(image: ImageKey, crop: Crop, context: EditContext) -> None:
    for bucket in (context.buckets.incoming, context.buckets.active):
        try:
            async with bucket.as_file(str(image)) as path:
                await check_crop(path, crop, context.pool)
        except NoSuchKey:
            continue
        return


async def _wait_for_crop(image: ImageKey, crop: Crop, context: PublisherContext, seconds: float) -> None:
    """Return once the thumbnails show the crop, or after `seconds`."""
    shown = crop.geometry.text
    await wait_for_record(context.buckets.active, image, is_wanted=lambda record: record.crop == shown, seconds=seconds)
