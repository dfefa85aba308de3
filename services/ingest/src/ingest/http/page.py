"""The page on which people watch photos go through: `GET /`, and its files below `/page/`.

A browser lets the page load and call nothing but this service, and show pictures of the public bucket besides.
"""

import hashlib
import html
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import PurePath
from string import Template

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from yarl import URL

from common.http import RequestRefused
from common.settings.storage import BucketSettings, LocalStorageSettings, StorageSettings
from ingest.activity import Activity

TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_INDEX = "index.html"


@dataclass(frozen=True)
class PageFile:
    """One file of the page, as it is sent."""

    body: bytes
    content_type: str
    etag: str


def read_page(storage: StorageSettings) -> dict[str, PageFile]:
    """The files of the page by name. `index.html` is told where the public images are."""
    found = {}
    for entry in (files("ingest") / "page").iterdir():
        text = entry.read_text(encoding="utf-8")
        if entry.name == _INDEX:
            text = Template(text).substitute(public_images=html.escape(public_images(storage)))
        body = text.encode()
        etag = hashlib.sha256(body).hexdigest()[:32]
        found[entry.name] = PageFile(body, TYPES[PurePath(entry.name).suffix], etag)
    return found


def public_images(storage: StorageSettings) -> str:
    """Where the public bucket's objects are for a browser: an address, or a path beside the page's."""
    if isinstance(storage, LocalStorageSettings):
        return "active/"
    bucket = storage.active
    if bucket.account.endpoint is not None:
        return f"{bucket.account.endpoint.rstrip('/')}/{bucket.name}/"
    return _on_aws(bucket)


def _on_aws(bucket: BucketSettings) -> str:
    region = bucket.account.default_region
    return f"https://s3.{f'{region}.' if region else ''}amazonaws.com/{bucket.name}/"


def content_security_policy(storage: StorageSettings) -> str:
    """What the page may do. Only on S3 do its pictures come from elsewhere."""
    images = URL(public_images(storage))
    elsewhere = f" {images.origin()}" if images.absolute else ""
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        f"img-src 'self' blob:{elsewhere}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )


def index_route(page: Mapping[str, PageFile], policy: str) -> Handler:
    """The handler of `GET /`."""

    async def index(request: web.Request) -> web.Response:
        return _send(request, page[_INDEX], policy)

    return index


def activity_route(activity: Activity) -> Handler:
    """The handler of `GET /page/activity`."""

    async def answer(_: web.Request) -> web.Response:
        found = await activity()
        return web.json_response(found.model_dump(mode="json"), headers={hdrs.CACHE_CONTROL: "no-store"})

    return answer


def page_file_route(page: Mapping[str, PageFile], policy: str) -> Handler:
    """The handler of `GET /page/FILE`."""

    async def page_file(request: web.Request) -> web.Response:
        name = request.match_info["file"]
        if name not in page or name == _INDEX:
            raise RequestRefused(404, f"the page has no file {name!r}")
        return _send(request, page[name], policy)

    return page_file


def _send(request: web.Request, file: PageFile, policy: str) -> web.Response:
    """The file, or 304 for a browser that has it already. Browsers ask each time, so that none shows an old one."""
    headers = {
        hdrs.CACHE_CONTROL: "no-cache",
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    known = request.if_none_match or ()
    if any(etag.value == file.etag for etag in known):
        response = web.Response(status=304, headers=headers)
    else:
        response = web.Response(body=file.body, content_type=file.content_type, charset="utf-8", headers=headers)
    response.etag = file.etag
    return response
