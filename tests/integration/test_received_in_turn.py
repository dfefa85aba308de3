"""Bodies that arrive at once: which is received first, and that waiting for its turn is not held against a client."""

import asyncio
from collections.abc import Awaitable, Iterable
from contextlib import AsyncExitStack
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from tests.support.form_bodies import PiecewiseStream
from tests.support.instant_loop import InstantLoop

from common.http.bodies import BodyLimits
from ingest.http.client_limits import ClientLimits
from ingest.http.receive import receive_file
from ingest.http.upload_budget import UploadBudget

LIMIT = 100 << 20
LIMITS = BodyLimits(bytes=LIMIT, seconds=300, idle_seconds=60)
HEAD = b'--x\r\nContent-Disposition: form-data; name="file"; filename="x.jpg"\r\n\r\n'
END = b"\r\n--x--\r\n"
LONG = 40.0  # seconds; longer than a body may lag behind the slowest rate that is allowed


class LateStream(PiecewiseStream):
    """A stream of which each piece arrives a second after all before it has been read."""

    async def _wait(self, what: str) -> None:
        await asyncio.sleep(1)
        await super()._wait(what)


def upload(*pieces: bytes, announced: int | None) -> web.Request:
    length = {"Transfer-Encoding": "chunked"} if announced is None else {"Content-Length": str(announced)}
    headers = {"Content-Type": "multipart/form-data; boundary=x"} | length
    return make_mocked_request("POST", "/", headers=headers, payload=LateStream([HEAD, *pieces, END]))


async def receive(request: web.Request, budget: UploadBudget, received: list[int]) -> None:
    """Receive an upload, and note how many bytes its file had."""
    clients = ClientLimits(trusted=(), uploads=9, upload_bytes=LIMIT, streams=1)
    async with receive_file(request, LIMITS, budget, clients) as path:
        received.append(path.stat().st_size)


async def while_none_has_its_turn(budget: UploadBudget, *receiving: Awaitable[None]) -> None:
    """Let the uploads come as far as they can, and then have their turns, one at a time."""
    async with AsyncExitStack() as turns:
        for _ in range(2):
            await turns.enter_async_context(budget.turns.turn(0))
        tasks = [asyncio.ensure_future(one) for one in receiving]
        await asyncio.sleep(LONG)
    await asyncio.gather(*tasks)


def run(folder: Path, requests: Iterable[tuple[int | None, list[bytes]]]) -> list[int]:
    """The sizes of the uploads in the order in which they were received. Each announces so many bytes, or does not."""
    received: list[int] = []

    async def all_of_them() -> None:
        budget = UploadBudget(folder, LIMIT)
        waiting = [receive(upload(*pieces, announced=size), budget, received) for size, pieces in requests]
        await while_none_has_its_turn(budget, *waiting)

    with asyncio.Runner(loop_factory=InstantLoop) as runner:
        runner.run(all_of_them())
    assert list(folder.iterdir()) == []
    return received


def test_a_photo_does_not_wait_for_the_large_uploads_that_began_before_it(tmp_path: Path) -> None:
    large = [(90_000_000, [b"a large one"])] * 4
    assert run(tmp_path, [*large, (3_000_000, [b"photo"])]) == [len(b"photo"), *[len(b"a large one")] * 4]


def test_nor_does_one_that_does_not_announce_its_length(tmp_path: Path) -> None:
    large: list[tuple[int | None, list[bytes]]] = [(90_000_000, [b"a large one"])] * 4
    assert run(tmp_path, [*large, (None, [b"photo"])]) == [len(b"photo"), *[len(b"a large one")] * 4]


def test_a_client_whose_upload_waited_long_is_not_too_slow(tmp_path: Path) -> None:
    assert run(tmp_path, [(3_000_000, [b"a" * 300_000, b"b" * 300_000])]) == [600_000]
