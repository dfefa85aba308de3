"""Uploads that fill a small TEMP_FOLDER, a file system of its own, and keep it: others are taken all the same."""

import asyncio
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from tests.support.deployment import Deployment
from tests.support.pictures import photo
from tests.support.process import Process

ROOM = 20 << 20
LARGEST = 2 << 20
SIZES = [LARGEST - 10_000] * 9 + [100_000] * 40  # of what attackers send: more than there is room for
HEAD = b'--x\r\nContent-Disposition: form-data; name="file"; filename="x.jpg"\r\n\r\n'
MOUNTED = ("unshare", "--mount", "sh", "-c", f'mount -t tmpfs -o size={ROOM} tmpfs "$0" && exec "$@"')


def may_mount(folder: Path) -> bool:
    return subprocess.run([*MOUNTED, str(folder), "true"], check=False, capture_output=True).returncode == 0


async def hold(process: Process, size: int, sent: asyncio.Event) -> None:
    """Send so much of an upload, and then a byte now and then; begin again when it is ended."""
    port = int(process.url.rpartition(":")[2])
    while True:
        with suppress(ConnectionError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                head = f"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: {LARGEST}\r\n"
                writer.write(f"{head}Content-Type: multipart/form-data; boundary=x\r\n\r\n".encode() + HEAD)
                writer.write(b"\xff\xd8\xff" + bytes(size))
                while True:
                    await writer.drain()
                    await asyncio.sleep(0.5)
                    sent.set()
                    writer.write(b"x")
            finally:
                writer.transport.abort()


async def test_one_visitor_does_not_keep_the_others_out(tmp_path: Path) -> None:
    (tmp_path / "temp").mkdir()
    if not may_mount(tmp_path / "temp"):
        pytest.skip("no file system can be mounted here")
    async with Deployment.prepared("embedded", tmp_path, MAX_UPLOAD_BYTES=str(LARGEST)) as deployment:
        process = await deployment.launch("standalone", through=(*MOUNTED, str(tmp_path / "temp")))
        await deployment.wait_ready(process)
        sent = [asyncio.Event() for _ in SIZES]
        attack = [asyncio.create_task(hold(process, *one)) for one in zip(SIZES, sent, strict=True)]
        try:
            await asyncio.gather(*(one.wait() for one in sent))
            await asyncio.sleep(4)  # until all of it is written
            small, large = photo(300, 200), photo(1600, 1200)
            for data in (small, large + bytes(LARGEST - len(large)), large) * 4:
                status, body = await deployment.upload(data)
                assert status == 200, body
        finally:
            for task in attack:
                task.cancel()
            await asyncio.gather(*attack, return_exceptions=True)
