"""Uploads beside uploads that take room and time: whoever sends a photo is served, and whoever only holds is ended.

A real ingest over sockets; how much room its folder has is made up, so that it can be little anywhere.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiohttp import web
from tests.support.folders import bytes_in
from tests.support.pictures import photo
from tests.support.servers import free_port

from common.http import BoundedSite, Health, make_app
from common.messaging.embedded import EmbeddedBus
from common.settings.base import read_settings
from common.wiring import open_buckets
from ingest.bootstrap import ingest
from standalone.settings import DEFAULTS, StandaloneSettings

LARGEST = 2_000_000
ROOM = 16 * LARGEST  # of free space, of which half is for uploads
PHOTO = photo(300, 200)
PART = b'--x\r\nContent-Disposition: form-data; name="file"; filename="x.jpg"\r\n\r\n'
END = b"\r\n--x--\r\n"
Answer = tuple[int, str]

# What requests carry to the log is named by plain words.
pytestmark = pytest.mark.filterwarnings("ignore::aiohttp.web_exceptions.NotAppKeyWarning")


@dataclass
class Ingest:
    port: int
    temporary: Path
    clients: list["Upload"] = field(default_factory=list)

    def in_hand(self) -> int:
        """Bytes in TEMP_FOLDER."""
        return bytes_in(self.temporary)


@pytest.fixture
async def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ingest]:
    temporary = tmp_path / "temp"

    def statvfs(_: Path) -> SimpleNamespace:
        return SimpleNamespace(f_frsize=1, f_bavail=ROOM - found.in_hand())

    monkeypatch.setattr("ingest.http.upload_budget.statvfs", statvfs)
    monkeypatch.setattr("common.http.bodies.GRACE", 5.0)
    given = {"TEMP_FOLDER": str(temporary), "MAX_UPLOAD_BYTES": str(LARGEST), "UPLOAD_TIMEOUT": "30"}
    given |= {"INCOMING_FOLDER": str(tmp_path / "in"), "ACTIVE_FOLDER": str(tmp_path / "out")}
    settings, bus = read_settings(StandaloneSettings, DEFAULTS | given), EmbeddedBus()
    async with open_buckets(settings) as buckets, ingest(settings, bus=bus, buckets=buckets) as wired:
        app = make_app("ingest", wired.routes, Health(buckets.check, bus.trouble, wired.trouble), settings)
        runner, found = web.AppRunner(app, shutdown_timeout=0.1), Ingest(free_port(), temporary)
        await runner.setup()
        try:
            await BoundedSite(runner, found.port, 500).start()
            yield found
            for client in found.clients:
                client.abort()
            async with asyncio.timeout(60):
                while list(temporary.iterdir()):  # noqa: ASYNC110 - a folder
                    await asyncio.sleep(0.05)
        finally:
            await runner.cleanup()


class Upload:
    """One that is sent piece by piece."""

    def __init__(self, service: Ingest, *, chunked: bool, length: int = LARGEST) -> None:
        self._service = service
        self._chunked = chunked
        self._length = length

    async def begin(self, data: bytes = b"") -> "Upload":
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._service.port)
        self._service.clients.append(self)
        size = len(PART) + self._length + len(END)
        framing = "Transfer-Encoding: chunked" if self._chunked else f"Content-Length: {size}"
        head = f"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n{framing}\r\n\r\n"
        self._writer.write(head.encode())
        await self.send(PART + data)
        return self

    async def send(self, data: bytes) -> None:
        """Send more. Whoever was ended already learns so from the answer."""
        if data:
            self._writer.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)
        with suppress(ConnectionError):
            await self._writer.drain()

    async def answer(self) -> Answer:
        """Status and message, or (0, "") for none."""
        try:
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.split("content-length: ")[1].split("\r\n")[0])
            body = json.loads(await self._reader.readexactly(length))
        except (ConnectionError, asyncio.IncompleteReadError):
            return 0, ""
        status = int(head.split()[1])
        assert ("retry-after: " in head) is (status in (408, 503))
        assert ("connection: close" in head) is (status != 200)
        return status, body.get("error", "")

    async def finish(self) -> Answer:
        await self.send(END)
        if self._chunked:
            self._writer.write(b"0\r\n\r\n")
        return await self.answer()

    async def dripped(self, then: bytes, pause: float) -> Answer:
        """Send this again and again, until there is an answer."""
        async with asyncio.TaskGroup() as tasks:
            ended = tasks.create_task(self.answer())
            while not ended.done():
                await self.send(then)
                await asyncio.wait((ended,), timeout=pause)
        self.abort()
        return ended.result()

    def abort(self) -> None:
        self._writer.transport.abort()


async def fast(service: Ingest, *, chunked: bool) -> Answer:
    upload = await Upload(service, chunked=chunked, length=len(PHOTO)).begin(PHOTO)
    return await upload.finish()


async def largest(service: Ingest, *, chunked: bool) -> Answer:
    upload = await Upload(service, chunked=chunked).begin(PHOTO + bytes(LARGEST - len(PHOTO)))
    return await upload.finish()


async def mobile(service: Ingest, *, chunked: bool) -> Answer:
    """Some KB a second, with a tunnel on the way."""
    upload = await Upload(service, chunked=chunked, length=len(PHOTO)).begin(PHOTO[:2000])
    for offset in range(2000, len(PHOTO), 2000):
        await asyncio.sleep(1.0 if offset == 10_000 else 0.2)
        await upload.send(PHOTO[offset : offset + 2000])
    return await upload.finish()


def attack(name: str, first: int, then: bytes, pause: float, *, chunked: bool = False) -> object:
    return pytest.param(first, then, pause, chunked, id=name)


@pytest.mark.parametrize(
    ("first", "then", "pause", "chunked"),
    [
        attack("nearly all, then a byte now and then", LARGEST - 200_000, b"x", 0.3, chunked=True),
        attack("nearly all, then as fast as has to be", LARGEST - 200_000, bytes(700), 0.5),
        attack("nearly all, then nothing", LARGEST - 200_000, b"", 0.3),
        attack("half, then more and more", LARGEST // 2, bytes(50_000), 0.3, chunked=True),
    ],
)
@pytest.mark.parametrize("honest", [fast, largest, mobile])
async def test_those_who_hold_room_do_not_keep_out_those_who_need_it(
    service: Ingest,
    honest: Callable[..., Awaitable[Answer]],
    first: int,
    then: bytes,
    pause: float,
    *,
    chunked: bool,
) -> None:
    async def hold() -> None:
        upload = await Upload(service, chunked=chunked).begin(b"\xff\xd8\xff" + bytes(first))
        status, error = await upload.dripped(then, pause)
        assert status in (0, 408, 413, 503), error

    holding = [asyncio.create_task(hold()) for _ in range(14)]
    try:
        await asyncio.sleep(0.7)
        assert service.in_hand() <= ROOM // 2 + LARGEST, "there is always room left"
        for _ in range(2):
            assert await honest(service, chunked=not chunked) == (200, "")
    finally:
        for task in holding:
            task.cancel()
        results = await asyncio.gather(*holding, return_exceptions=True)
    assert not [result for result in results if isinstance(result, Exception)]


@pytest.mark.parametrize("chunked", [False, True])
async def test_who_holds_most_for_longest_is_ended_and_told_to_try_again(
    service: Ingest, monkeypatch: pytest.MonkeyPatch, *, chunked: bool
) -> None:
    monkeypatch.setattr("common.http.bodies.GRACE", 60)  # the rate is no matter here
    large = await Upload(service, chunked=chunked).begin(b"\xff\xd8\xff" + bytes(LARGEST - 50_000))
    await asyncio.sleep(0.3)
    await large.send(b"x")
    small = await Upload(service, chunked=chunked, length=len(PHOTO)).begin(PHOTO[:-10])
    others = [await Upload(service, chunked=chunked).begin(PHOTO + bytes(LARGEST - 60_000)) for _ in range(8)]
    async with asyncio.timeout(25):
        for _ in range(5):  # what came last is only written when more comes
            await asyncio.sleep(0.1)
            await asyncio.gather(*(other.send(b"x") for other in others))
        status, error = await large.answer()
    assert (status, "others need its room" in error) == (503, True)
    await small.send(PHOTO[-10:])
    assert await small.finish() == (200, "")
    for other in others:
        other.abort()


@pytest.mark.parametrize("chunked", [False, True])
async def test_who_falls_behind_the_lowest_rate_is_told_so(service: Ingest, *, chunked: bool) -> None:
    burst = await Upload(service, chunked=chunked).begin(b"\xff\xd8\xff" + bytes(LARGEST // 2))
    async with asyncio.timeout(60):
        status, error = await burst.dripped(b"x", 0.2)
    assert (status, "slower than 1024 bytes a second" in error) == (408, True)


async def test_a_client_that_goes_leaves_no_room_taken(service: Ingest) -> None:
    for _ in range(30):
        upload = await Upload(service, chunked=False).begin(b"\xff\xd8\xff" + bytes(LARGEST // 2))
        upload.abort()
    assert await largest(service, chunked=False) == (200, "")
