"""Answers that come before the request's body has ended: they are read, and are the last of their connection."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import FormData
from tests.support.crowds import END_OF_UPLOAD, crowd, head_of_upload
from tests.support.deployment import Deployment
from tests.support.eventually import eventually
from tests.support.pictures import photo

PIECE = bytes(1000)


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    settings = {"CLIENT_UPLOADS": "1", "MAX_UPLOAD_BYTES": "1500000", "TRUSTED_PROXIES": "192.0.2.1"}
    async with Deployment.prepared("embedded", tmp_path, **settings) as prepared:
        await prepared.start()
        yield prepared


def port(deployment: Deployment) -> int:
    return int(deployment.url("ingest").rpartition(":")[2])


@asynccontextmanager
async def connected(deployment: Deployment) -> AsyncIterator[tuple[StreamReader, StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port(deployment))
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


@asynccontextmanager
async def all_uploads_refused(deployment: Deployment) -> AsyncIterator[None]:
    """While the client's only upload does not end."""

    async def is_refused() -> bool:
        async with connected(deployment) as (reader, writer):
            writer.write(head_of_upload(3) + END_OF_UPLOAD)
            return (await reader.readline()).split()[1] == b"429"

    async with crowd(port(deployment), ["127.0.0.1"], [head_of_upload(5000)]):
        await eventually(is_refused, "an upload too many")
        yield


async def send_slowly(writer: StreamWriter, pieces: int) -> None:
    for _ in range(pieces):
        writer.write(PIECE)
        await writer.drain()
        await asyncio.sleep(0.02)


async def test_a_refused_client_that_still_sends_reads_why_and_that_nothing_more_comes(deployment: Deployment) -> None:
    async with all_uploads_refused(deployment), connected(deployment) as (reader, writer):
        writer.write(head_of_upload(1_400_000))
        sending = asyncio.create_task(send_slowly(writer, 1_400))
        answer = await reader.read()  # up to the end
        sending.cancel()
        # A service that has cut the client off would reset the connection, and the answer could be lost.
        await send_slowly(writer, 50)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 429 ")
        assert b"\r\nconnection: close\r\n" in head.lower() + b"\r\n"
        assert b"\r\nretry-after: 5\r\n" in head.lower() + b"\r\n"
        assert b"1 uploads of this client are in hand" in body


async def test_a_refused_client_that_reads_when_it_has_sent_all_reads_why(deployment: Deployment) -> None:
    async with all_uploads_refused(deployment), connected(deployment) as (reader, writer):
        writer.write(head_of_upload(3 + 100 * len(PIECE)))
        await send_slowly(writer, 100)
        writer.write(END_OF_UPLOAD)
        await writer.drain()
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 429 ")
        assert answer.endswith(b"}")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("POST /upload HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=x", b"413"),
        ("POST /upload HTTP/1.1\r\nContent-Type: image/jpeg", b"400"),
        ("POST /publish HTTP/1.1\r\nContent-Type: application/json", b"413"),
        ("POST /unknown HTTP/1.1", b"404"),
        ("PUT /upload HTTP/1.1", b"405"),
    ],
)
async def test_every_refusal_of_a_body_that_has_not_ended_ends_the_connection(
    deployment: Deployment, head: str, status: bytes
) -> None:
    async with connected(deployment) as (reader, writer):
        writer.write(f"{head}\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n".encode() + 100 * PIECE)
        answer = await reader.read()
        assert answer.split()[1] == status
        assert b"connection: close" in answer.lower()


EXPECT = "Expect: 100-continue"
MULTIPART = "Content-Type: multipart/form-data; boundary=x"
JSON = "Content-Type: application/json"


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (("POST /upload HTTP/1.1", MULTIPART, "Content-Length: 100000000", EXPECT), b"413"),
        (("POST /upload HTTP/1.1", "Content-Type: image/jpeg", "Content-Length: 1000", EXPECT), b"400"),
        (("POST /publish HTTP/1.1", JSON, "Content-Length: 100000000", EXPECT), b"413"),
        (("POST /publish HTTP/1.1", "Content-Type: text/plain", "Content-Length: 1000", EXPECT), b"400"),
        (("POST /upload HTTP/1.1", MULTIPART, "Content-Length: 1000", "Expect: the-moon"), b"417"),
        (("POST /unknown HTTP/1.1", MULTIPART, "Content-Length: 1000", EXPECT), b"404"),
        (("POST /two%0Alines HTTP/1.1", MULTIPART, "Content-Length: 1000", EXPECT), b"404"),
        (("POST /unknown HTTP/1.1", MULTIPART, "Content-Length: 1000", "Expect: the-moon"), b"417"),
        (("PUT /upload HTTP/1.1", MULTIPART, "Content-Length: 1000", EXPECT), b"405"),
        (("PUT /active/unknown HTTP/1.1", MULTIPART, "Content-Length: 1000", EXPECT), b"405"),
    ],
)
async def test_a_client_that_asks_first_is_refused_before_it_sends(
    deployment: Deployment, head: tuple[str, ...], status: bytes
) -> None:
    async with connected(deployment) as (reader, writer):
        writer.write("\r\n".join([*head, "Host: x", "", ""]).encode())
        answer = await reader.read()
        assert answer.split()[1] == status
        assert b"connection: close" in answer.lower()


async def test_a_client_that_asks_first_is_told_of_its_limit_before_it_sends(deployment: Deployment) -> None:
    async with all_uploads_refused(deployment), connected(deployment) as (reader, writer):
        head, _, _ = head_of_upload(1000, Expect="100-continue").partition(b"\r\n\r\n")
        writer.write(head + b"\r\n\r\n")
        assert (await reader.readline()).split()[1] == b"429"


@pytest.mark.parametrize("kind", [JSON, "Content-Type: application/x-www-form-urlencoded", MULTIPART])
async def test_a_client_that_asks_first_sends_when_its_body_is_read(deployment: Deployment, kind: str) -> None:
    bodies = {
        JSON: b'{"secret": "wrong"}',
        MULTIPART: b'--x\r\nContent-Disposition: form-data; name="secret"\r\n\r\nwrong\r\n--x--\r\n',
    }
    body = bodies.get(kind, b"secret=wrong")
    async with connected(deployment) as (reader, writer):
        head = ("POST /publish HTTP/1.1", kind, f"Content-Length: {len(body)}", EXPECT, "Host: x", "", "")
        for _ in range(2):  # over one connection
            writer.write("\r\n".join(head).encode())
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(body)
            answer = (await reader.readuntil(b"\r\n\r\n")).lower()
            assert answer.startswith(b"http/1.1 403 ")
            await reader.readexactly(int(answer.partition(b"content-length: ")[2].split()[0]))


async def test_an_upload_that_asks_first_is_taken(deployment: Deployment) -> None:
    form = FormData()
    form.add_field("file", photo(300, 200), filename="x.jpg")
    async with deployment.http.post(f"{deployment.url('ingest')}/upload", data=form, expect100=True) as answer:
        assert answer.status == 200


async def test_a_refusal_of_a_whole_body_keeps_the_connection(deployment: Deployment) -> None:
    async with connected(deployment) as (reader, writer):
        for _ in range(3):
            body = b'{"secret": "wrong"}'
            writer.write(
                b"POST /publish HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
            )
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            assert head.startswith(b"http/1.1 403 ")
            assert b"connection: close" not in head
            await reader.readexactly(int(head.partition(b"content-length: ")[2].split()[0]))
