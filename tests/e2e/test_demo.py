"""`make demo`: a dozen photos go through the embedded default, and it ends without leaving anything behind."""

import asyncio
import os
import re
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

import aiohttp
from tests.support.eventually import eventually
from tests.support.servers import free_port


async def test_a_dozen_photos_and_the_address_to_watch_them_at(tmp_path: Path) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "TMPDIR": os.environ["TMPDIR"],
        "PYTHONPATH": str(Path.cwd()),
        "SERVICE_PORT": str(free_port()),
        "METRICS_PORT": str(free_port()),
    }
    with (tmp_path / "printed").open("wb") as printed:
        demo = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "deploy.demo", env=environment, cwd=tmp_path, stdout=printed, stderr=printed
        )
    try:

        async def address() -> re.Match[str] | None:
            assert demo.returncode is None, (tmp_path / "printed").read_text()
            return re.search(r"(http://localhost:\d+/)#(\S+)", (tmp_path / "printed").read_text())

        found = await eventually(address, "the address of the page", seconds=150)
        assert found is not None
        url, names = found[1], found[2].split(",")
        assert len(set(names)) == 12
        async with aiohttp.ClientSession(url) as http:

            async def states() -> list[str]:
                return [(await (await http.get(f"status/{name}")).json())["state"] for name in names]

            async def all_rendered_and_some_published() -> bool:
                return sorted(set(await states())) == ["active", "ready"]

            await eventually(all_rendered_and_some_published, "a photo that is published by itself")
            async with http.get("") as page:
                assert "<title>Image backend</title>" in await page.text()
    finally:
        demo.send_signal(signal.SIGTERM)
        assert await demo.wait() == 0
    assert '"event": "stopped"' in (tmp_path / "data/demo/log").read_text()


def only_child_of(process: int) -> int:
    return int(Path(f"/proc/{process}/task/{process}/children").read_text())


async def test_its_program_stops_when_it_is_killed(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path.cwd()), "SERVICE_PORT": str(free_port())}
    environment |= {"TMPDIR": os.environ["TMPDIR"], "METRICS_PORT": str(free_port())}
    demo = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deploy.demo", env=environment, cwd=tmp_path, stdout=asyncio.subprocess.DEVNULL
    )

    async def has_logged(event: str) -> bool:
        log = tmp_path / "data/demo/log"
        return log.exists() and f'"event": "{event}"' in log.read_text()

    try:
        await eventually(lambda: has_logged("started"), "the program", seconds=150)
        program = only_child_of(demo.pid)
    finally:
        demo.kill()
        await demo.wait()
    try:
        await eventually(lambda: has_logged("stopped"), "the end of the program")
    finally:
        with suppress(ProcessLookupError):
            os.killpg(program, signal.SIGKILL)


async def test_a_port_that_is_taken_ends_it_with_a_reason(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        port = taken.getsockname()[1]
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path.cwd()), "SERVICE_PORT": str(port)}
        environment |= {"TMPDIR": os.environ["TMPDIR"], "METRICS_PORT": str(free_port())}
        demo = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "deploy.demo", env=environment, cwd=tmp_path, stderr=asyncio.subprocess.PIPE
        )
        _, said = await demo.communicate()
    assert demo.returncode == 1
    assert f"SERVICE_PORT {port} cannot be used" in said.decode()
