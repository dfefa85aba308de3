"""An S3 server behind a proxy, and the faults that a client of it can meet."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from tests.support.proxy import Proxy
from tests.support.s3 import TestBuckets
from tests.support.stores import s3_pair
from yarl import URL

from common.storage.base import Buckets
from common.storage.s3 import connect

SILENCE = 1.0  # seconds after which a test's client gives a silent store up

Act = Callable[[Proxy], Awaitable[None]]


@asynccontextmanager
async def proxy_to(buckets: TestBuckets) -> AsyncIterator[Proxy]:
    """A proxy to the server of these buckets."""
    server = URL(buckets.endpoint)
    assert server.host
    assert server.port
    async with Proxy.to(server.host, server.port) as proxy:
        yield proxy


@asynccontextmanager
async def through(proxy: Proxy, buckets: TestBuckets, folder: Path) -> AsyncIterator[Buckets]:
    """Both buckets, as a service sees them that reaches their server through the proxy."""
    account = replace(buckets.account, endpoint=f"http://127.0.0.1:{proxy.port}")
    async with connect(account) as client:
        yield s3_pair(client, account, buckets, folder)


def refusal(status: str, code: str) -> bytes:
    """The answer of a store that refuses a request."""
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>not now</Message></Error>'.encode()
    return _answer(status, "application/xml", body)


def page(status: str) -> bytes:
    """The answer of something between the client and the store."""
    return _answer(status, "text/html", b"<html>nothing here</html>")


def _answer(status: str, kind: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def throttles(proxy: Proxy) -> None:
    proxy.answer(refusal("503 Slow Down", "SlowDown"))


async def fails(proxy: Proxy) -> None:
    proxy.answer(refusal("500 Internal Server Error", "InternalError"))


async def refuses_the_key(proxy: Proxy) -> None:
    proxy.answer(refusal("403 Forbidden", "InvalidAccessKeyId"))


async def refuses_the_signature(proxy: Proxy) -> None:
    proxy.answer(refusal("403 Forbidden", "SignatureDoesNotMatch"))


async def is_hidden(proxy: Proxy) -> None:
    """As by a gateway that has lost its route to the store."""
    proxy.answer(page("404 Not Found"))


async def answers(proxy: Proxy) -> None:
    proxy.leave()


async def is_cut_off(proxy: Proxy) -> None:
    await proxy.cut()


async def is_back(proxy: Proxy) -> None:
    await proxy.restore()


async def hangs(proxy: Proxy) -> None:
    proxy.stall()


async def goes_on(proxy: Proxy) -> None:
    """All that was asked meanwhile reaches the store, late, also what its client has given up."""
    proxy.flow()


OUTAGES: list[tuple[Act, Act]] = [
    (throttles, answers),
    (fails, answers),
    (refuses_the_key, answers),
    (refuses_the_signature, answers),
    (is_hidden, answers),
    (is_cut_off, is_back),
    (hangs, goes_on),
]
