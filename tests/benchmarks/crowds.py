"""One ingest process among slow connections, large uploads and event streams; and a visitor who uploads photos."""

import asyncio
import os
import resource
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks import photos
from tests.benchmarks.report import percentile, say
from tests.support import small_disk
from tests.support.crowds import END_OF_UPLOAD, Connection, crowd, head_of_upload
from tests.support.deployment import PYTHON, Deployment

_TEMP_KILOBYTES = 1 << 20  # of TEMP_FOLDER, as in docker-compose.yml
_SLOW, _UPLOADS, _STREAMS, _IMAGES = 500, 200, 10_000, 200
_UPLOAD_BYTES = 100_000_000
_PIECE = bytes(250_000)
_VISITOR = "127.2.0.1"
_CALM = 5.0  # seconds in which the visitor is alone
_DESCRIPTORS = 20_000  # of the crowds' side
_HEADS = (b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Unfinished: ", head_of_upload(_UPLOAD_BYTES))


@dataclass
class _Visits:
    """How long each upload of the visitor took, in seconds, and what it was answered."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[object] = field(default_factory=Counter)

    def say(self, when: str) -> None:
        """Print it."""
        middle, late, last = (percentile(self.seconds, share) * 1e3 for share in (0.5, 0.95, 1))
        say(f"{when:30}{len(self.seconds):9}{middle:11.0f}{late:9.0f}{last:9.0f}   {_told(self.statuses)}")


def report(folder: Path) -> None:
    """Print what everybody is answered, how long the visitor waits, and the memory of the process."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(_DESCRIPTORS, most), most))
    asyncio.run(_report(photos.make_photo(folder)))


async def _report(photo: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="image-backend-crowds-") as name:
        small_disk.mount(Path(name) / "temp", _TEMP_KILOBYTES)
        try:
            # No address here is trusted, so that each address is a client of its own.
            async with Deployment.prepared("rabbit-local", Path(name), TRUSTED_PROXIES="192.0.2.1") as deployment:
                deployment.python = PYTHON
                await deployment.start("ingest")
                await _measure(deployment, photo)
        finally:
            small_disk.unmount(Path(name) / "temp")


async def _measure(deployment: Deployment, photo: Path) -> None:
    process = deployment.processes["ingest"]
    port = int(process.url.rpartition(":")[2])
    streams = await _requests_for_streams(deployment)
    say()
    say(f"one ingest process; at once {_SLOW} slow connections, {_UPLOADS} uploads of 100 MB, {_STREAMS} event streams")
    say(f"{'the 12-megapixel photo of':30}{'uploads':>9}{'median ms':>11}{'95 % ms':>9}{'most ms':>9}   answered")
    async with _visiting(process.url, photo) as visits:
        await asyncio.sleep(_CALM)
    visits.say("a visitor alone")
    before = _memory(process.pid, "VmRSS")
    began = time.monotonic()
    async with (
        _visiting(process.url, photo) as visits,
        crowd(port, _addresses(10), [_HEADS[number % 2] for number in range(_SLOW)]),
        crowd(port, _addresses(50), [head_of_upload(_UPLOAD_BYTES)] * _UPLOADS) as uploads,
    ):
        sending = [asyncio.create_task(_send_all(one)) for one in uploads]
        async with crowd(port, _addresses(100), streams) as followers:
            of_streams = Counter(await asyncio.gather(*(one.status() for one in followers)))
            of_uploads = Counter(await asyncio.gather(*sending))
            seconds = time.monotonic() - began
    visits.say("a visitor among the crowds")
    say(f"the crowds were answered in {seconds:.0f} s; uploads: {_told(of_uploads)}; streams: {_told(of_streams)}")
    most = _memory(process.pid, "VmHWM")
    say(f"memory of the process {before} MiB before, {most} MiB at most; that of TEMP_FOLDER is 1024 MiB at most;")
    say("docker-compose.yml allows 2048 MiB for both")


async def _requests_for_streams(deployment: Deployment) -> list[bytes]:
    """Requests for the statuses of images whose rendering never comes."""
    keys = [f"{2_000_000_000 + number}_1.jpg" for number in range(_IMAGES)]
    for key in keys:
        await deployment.buckets.incoming.put(key, b"")
    return [f"GET /events/{key} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for key in keys] * (_STREAMS // _IMAGES)


async def _send_all(connection: Connection) -> int | None:
    """Send an upload as fast as it is taken. Returns its status."""
    answer = asyncio.ensure_future(connection.status())
    for _ in range(_UPLOAD_BYTES // len(_PIECE)):
        if answer.done() or not await connection.send(_PIECE):
            break
    await connection.send(END_OF_UPLOAD)
    return await answer


@asynccontextmanager
async def _visiting(url: str, photo: Path) -> AsyncIterator[_Visits]:
    """While in the context, a visitor uploads one photo after the other."""
    visits = _Visits()

    async def visit() -> None:
        while True:
            # A process of its own: what the crowds' side of this one has to do does not count.
            how = "-sS", "-o", os.devnull, "-w", "%{http_code} %{time_total}", "--interface", _VISITOR
            curl = await asyncio.create_subprocess_exec(
                "curl", *how, "-F", f"file=@{photo}", f"{url}/upload", stdout=asyncio.subprocess.PIPE
            )
            said, _ = await curl.communicate()
            status, seconds = said.decode().split()
            visits.statuses[status] += 1
            visits.seconds.append(float(seconds))
            await asyncio.sleep(0.2)

    visiting = asyncio.create_task(visit())
    try:
        yield visits
    finally:
        visiting.cancel()
        with suppress(asyncio.CancelledError):
            await visiting


def _memory(pid: int, which: str) -> int:
    """In MiB: what the process has now (VmRSS), or has had at most (VmHWM)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(which)).split()[1]) >> 10


def _addresses(number: int) -> list[str]:
    """Addresses of so many clients."""
    return [f"127.1.{one // 200}.{one % 200 + 1}" for one in range(number)]


def _told(counts: Mapping[Any, int]) -> str:
    return ", ".join(
        f"{count} × {'no answer' if what is None else what}" for what, count in Counter(counts).most_common()
    )
