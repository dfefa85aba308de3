"""Bodies of requests as browsers and attackers send them: too large, too slow, and none that can be read."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import FormData
from tests.support.deployment import Deployment, keys, watched
from tests.support.pictures import photo

BOUNDARY = "limit-of-parts"
HEAD = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="x.jpg"\r\n\r\n'.encode()
TAIL = f"\r\n--{BOUNDARY}--\r\n".encode()


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    async with watched(tmp_path, MAX_UPLOAD_BYTES="300000") as prepared:
        yield prepared


async def raw(deployment: Deployment, head: str, body: list[bytes], pause: float = 0) -> tuple[int, dict[str, object]]:
    """Send bytes as they are, with pauses between the pieces. Returns status and body, (0, {}) for no answer.

    Whoever was too slow is told when to try again, over another connection.
    """
    host, port = deployment.url("ingest").removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(head.replace("\n", "\r\n").encode() + b"\r\n\r\n")
        for piece in body:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
        headers = answer.decode().lower()
        length = int(headers.split("content-length: ")[1].split("\r\n")[0])
        status = int(headers.split()[1])
        assert ("retry-after: " in headers) is (status in (408, 503))
        assert status != 408 or "connection: close" in headers
        return status, json.loads(await reader.readexactly(length))
    except ConnectionError:
        return 0, {}
    finally:
        writer.close()


def chunked(pieces: list[bytes]) -> list[bytes]:
    return [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces] + [b"0\r\n\r\n"]


def multipart(extra: str) -> str:
    return f"POST /upload HTTP/1.1\nHost: x\nContent-Type: multipart/form-data; boundary={BOUNDARY}\n{extra}"


async def test_a_body_over_the_limit(deployment: Deployment) -> None:
    await deployment.start()
    large = [b"\xff\xd8\xff" + bytes(400_000)]
    size = len(HEAD) + len(large[0]) + len(TAIL)
    status, body = await raw(deployment, multipart(f"Content-Length: {size}"), [])
    assert (status, "300000 bytes" in str(body["error"])) == (413, True), "without waiting for the body"
    status, body = await raw(deployment, multipart("Transfer-Encoding: chunked"), chunked([HEAD, *large, TAIL]))
    assert (status, "300000 bytes" in str(body["error"])) == (413, True), "without a length to go by"
    endless = [b"no boundary ever\r\n" * 1000] * 40
    status, _ = await raw(deployment, multipart("Transfer-Encoding: chunked"), chunked(endless))
    assert status == 413, "before the first part"
    assert await keys(deployment.buckets.incoming) == set()


async def test_a_client_that_is_slow(deployment: Deployment) -> None:
    await deployment.start(UPLOAD_TIMEOUT="3")
    start = time.monotonic()
    drip = chunked([HEAD, *[b"x"] * 20])
    status, body = await raw(deployment, multipart("Transfer-Encoding: chunked"), drip, pause=0.25)
    assert (status, "longer than 3 s" in str(body.get("error"))) in ((408, True), (0, False))
    assert time.monotonic() - start < 30


async def test_a_client_that_is_silent_or_gone(deployment: Deployment) -> None:
    await deployment.start(UPLOAD_IDLE_TIMEOUT="1")
    start = time.monotonic()
    status, body = await raw(deployment, multipart("Content-Length: 9000"), [HEAD, b"\xff\xd8\xff"])
    assert (status, "nothing was sent for 1 s" in str(body["error"])) == (408, True)
    assert time.monotonic() - start < 25
    host, port = deployment.url("ingest").removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(multipart("Content-Length: 9000").replace("\n", "\r\n").encode() + b"\r\n\r\n" + HEAD)
    await writer.drain()
    writer.transport.abort()
    await asyncio.sleep(0.3)
    assert (await deployment.upload(photo(300, 200)))[0] == 200


async def test_bodies_that_are_no_upload(deployment: Deployment) -> None:
    await deployment.start()
    part = HEAD + photo(300, 200)
    for pieces, words in (
        ([part + b"\r\n", part + TAIL], "two file parts"),
        ([HEAD.replace(b'; filename="x.jpg"', b"") + b"text" + TAIL], "expected a file part"),
        ([HEAD.replace(b'"file"', b'"photo"') + b"text" + TAIL], "no file"),
        ([TAIL], "no file"),
        ([b""], ""),
        ([b"garbage"], ""),
        ([b"--%b\r\nbroken header\r\n\r\n" % BOUNDARY.encode()], ""),
        ([HEAD.replace(b'name="file"', b'name="f%d"' % n) + b"x\r\n" for n in range(30)], "more than 16 parts"),
        ([HEAD.replace(b"\r\n\r\n", b"\r\nX: " + b"y" * 20_000 + b"\r\n\r\n") + b"x" + TAIL], ""),
        ([HEAD.replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: nonsense\r\n\r\n") + b"x" + TAIL], ""),
        ([HEAD.replace(b"\r\n\r\n", b"\r\nContent-Length: -5\r\n\r\n") + b"x" + TAIL], ""),
    ):
        body = b"".join(pieces)
        status, answer = await raw(deployment, multipart(f"Content-Length: {len(body)}"), [body])
        assert status == 400, (pieces, answer)
        assert words in str(answer["error"])
    for content_type in ("application/json", "text/plain", "multipart/form-data", "image/jpeg", "multipart/;;="):
        head = f"POST /upload HTTP/1.1\nHost: x\nContent-Type: {content_type}\nContent-Length: 2"
        status, answer = await raw(deployment, head, [b"{}"])
        assert (status, "multipart" in str(answer["error"])) == (400, True), content_type
    assert await keys(deployment.buckets.incoming) == set()


async def test_other_bodies_are_limited_and_answered_too(deployment: Deployment) -> None:
    await deployment.start()

    def post(content_type: str, body: bytes, extra: str = "") -> tuple[str, list[bytes]]:
        head = f"POST /publish HTTP/1.1\nHost: x\nContent-Type: {content_type}\nContent-Length: {len(body)}{extra}"
        return head, [body]

    form, several = "application/x-www-form-urlencoded", f"multipart/form-data; boundary={BOUNDARY}"
    for head, body in (
        post("application/json", b'{"secret": "\\ud800"}'),
        post("application/json", b"[" * 60_000),
        post("application/json", b'{"secret": ' + b"1" * 5000 + b"}"),
        post("application/json", b"\xff"),
        post("application/json", b"no gzip", "\nContent-Encoding: gzip"),
        post(f"{form}; charset=nonsense", b"secret=x"),
        post(form, b"secret=\xff\xfe"),
        post(form, b"x" * 70_000),
        post("text/plain", b"secret"),
        post(several, b"garbage"),
        post(several, HEAD + b"x" * 70_000 + TAIL),
        post(several, b"".join(HEAD.replace(b"file", b"f%d" % n) + b"\r\n" for n in range(30)) + TAIL),
    ):
        status, answer = await raw(deployment, head, body)
        assert status in (400, 401, 403, 413), (head, body[0][:80], answer)
        assert answer["error"]
    endless = chunked([b"no boundary ever\r\n" * 1000] * 40)
    head = f"POST /publish HTTP/1.1\nHost: x\nContent-Type: {several}\nTransfer-Encoding: chunked"
    assert (await raw(deployment, head, endless))[0] == 413


async def test_an_upload_with_other_fields_and_an_odd_file_name(deployment: Deployment) -> None:
    await deployment.start()
    form = FormData()
    form.add_field("title", "Mont Blanc")
    form.add_field("file", photo(300, 200), filename='../"<x>\u2603.exe', content_type="image/jpeg")
    async with deployment.http.post(f"{deployment.url('ingest')}/upload", data=form) as answer:
        assert answer.status == 200
