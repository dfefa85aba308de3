"""The README's six commands, as it shows them, on the embedded default that its first command starts."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import aiohttp
import pytest_asyncio
from tests.support.eventually import eventually
from tests.support.pictures import photo
from tests.support.servers import free_port

_NAME = "1795365566_6978085795"


@pytest_asyncio.fixture
async def port(tmp_path: Path) -> AsyncIterator[int]:
    """That of the embedded default, with its data in ./data and none of its settings changed."""
    (tmp_path / "photo.jpg").write_bytes(photo(1600, 1200))
    served, measured = free_port(), free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "TMPDIR": os.environ["TMPDIR"],
        "SERVICE_PORT": str(served),
        "METRICS_PORT": str(measured),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "standalone", env=environment, cwd=tmp_path, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        await eventually(lambda: says(f"http://localhost:{served}/readyz", '"ready": true'), "the embedded default")
        yield served
    finally:
        process.terminate()
        await process.wait()


async def says(url: str, text: str) -> bool:
    try:
        async with aiohttp.ClientSession() as http, http.get(url) as answer:
            return text in await answer.text()
    except aiohttp.ClientError:
        return False


def shown() -> list[tuple[str, str]]:
    """Each command and what it prints."""
    section = Path("README.md").read_text().partition("## A photo from upload to deletion, in six commands")[2]
    block = section.partition("\n```\n")[2].partition("\n```\n")[0]
    steps = [step.partition("\n") for step in f"\n{block}".split("\n$ ")[1:]]
    return [(command, printed) for command, _, printed in steps]


async def test_a_photo_s_way(port: int, tmp_path: Path) -> None:
    steps = shown()
    assert len(steps) == 6
    name = _NAME
    for command, expected in steps:
        given = command.replace(_NAME, name).replace("localhost:8080", f"localhost:{port}")
        ran = await asyncio.to_thread(
            subprocess.run, ["bash", "-c", given], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
        )
        if "/upload" in command:
            name = json.loads(ran.stdout)["filename"].partition(".")[0]
            # A reader is slower than the resizer.
            status = f"http://localhost:{port}/status/{name}.jpg"
            await eventually(partial(says, status, '"state":"ready"'), "variants")
        assert matches(ran.stdout, expected.replace(_NAME, name)), f"{command}: {ran.stdout}"


def matches(printed: str, expected: str) -> bool:
    """Whether that was printed; `…` stands for any rest, and what a terminal lists side by side may be in lines."""
    if "…" in expected:
        return printed.startswith(expected.partition("…")[0].rstrip())
    return sorted(printed.split()) == sorted(expected.split())
