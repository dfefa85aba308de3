"""`POST /upload`."""

from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

from common.errors import ImageError, ImageFault
from common.http import Refused
from common.http.bodies import BodyLimits
from ingest.handlers import Uploads, accept
from ingest.upload import received


def upload_route(uploads: Uploads, limits: BodyLimits, folder: Path) -> Handler:
    """The handler of `POST /upload`: 200 with the new name once the original is stored."""

    async def upload(request: web.Request) -> web.Response:
        async with received(request, limits, folder) as path:
            try:
                key = await accept(path, uploads=uploads)
            except ImageError as error:
                status = 413 if error.fault is ImageFault.TOO_LARGE else 400
                raise Refused(status, f"the image is refused: {error.reason}") from error
        request["image"] = str(key)
        return web.json_response({"success": True, "filename": str(key)})

    return upload
