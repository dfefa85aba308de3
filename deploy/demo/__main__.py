"""`make demo`: the embedded default, with a dozen photos going through it, and its page to watch them on.

The program runs as `make run` starts it, with folders of its own and with WebP and AVIF. Its log is beside them.
"""

import asyncio
import ctypes
import os
import signal
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO

import aiohttp
from deploy.demo.photos import landscapes

_FOLDER = Path("data/demo")
_LOG = _FOLDER / "log"
_SECRET = "not-a-secret"  # noqa: S105 - everybody may know it
_LEFT_PRIVATE = 4  # photos; whoever watches publishes them
_PAUSE = 3.0  # seconds between two that are published
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class ProgramEnded(Exception):
    """The embedded default does not run (any more)."""


async def demo() -> None:
    """Until SIGINT, SIGTERM, or SIGHUP of a terminal that is closed, which cancel it. Raises ProgramEnded."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with _open_log() as output:
        program = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "standalone"),
            env=_environment(),
            stdout=output,
            stderr=output,
            process_group=0,
            preexec_fn=partial(_stop_with, os.getpid()),
        )
    showing, ending = asyncio.create_task(_show(_address())), asyncio.create_task(program.wait())
    try:
        await asyncio.wait((showing, ending), return_when=asyncio.FIRST_COMPLETED)
        if not ending.done():
            await showing
            await ending
        raise ProgramEnded(f"the image backend has ended: {_last_line()}")
    finally:
        showing.cancel()
        if program.returncode is None:
            program.terminate()
        await program.wait()


def _stop_with(parent: int) -> None:
    """In the program's process, before it begins: have Linux stop it when its parent has ended, even by SIGKILL."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it had ended before
        os.kill(os.getpid(), signal.SIGTERM)


def _open_log() -> BinaryIO:
    _LOG.parent.mkdir(parents=True, exist_ok=True)
    return _LOG.open("wb")


def _last_line() -> str:
    lines = _LOG.read_text(errors="replace").splitlines()
    return lines[-1] if lines else f"{_LOG} is empty"


def _address() -> str:
    prefix = (os.environ.get("ROUTE_PREFIX") or "").strip("/")
    return f"http://localhost:{os.environ.get('SERVICE_PORT') or '8080'}/{f'{prefix}/' if prefix else ''}"


def _environment() -> dict[str, str]:
    folders = {f"{name}_FOLDER": str(_FOLDER / name.lower()) for name in ("TEMP", "INCOMING", "ACTIVE")}
    fixed = {"STORAGE_BACKEND": "local", "API_SECRET_KEY": _SECRET, "DEMO_PAGE": "1"}
    return {**os.environ, **folders, **fixed, "GENERATE_WEBP": "1", "GENERATE_AVIF": "1"}


async def _show(url: str) -> None:
    async with aiohttp.ClientSession(url) as http:
        await _wait_until_ready(http)
        print(f"The page is at {url}\nA dozen photos are being drawn. This takes some seconds.", flush=True)
        photos = await asyncio.to_thread(lambda: list(landscapes()))
        names = [await _upload(http, title, photo) for title, photo in photos]
        print(f"Watch them:\n\n  {url}#{','.join(names)}\n")
        print(
            f"The secret is {_SECRET}. The images and the log are in {_FOLDER}. Ctrl-C ends the demonstration.",
            flush=True,
        )
        for name in names[:-_LEFT_PRIVATE]:
            await asyncio.sleep(_PAUSE)
            async with http.post("publish", json={"secret": _SECRET, "filename": name}) as answer:
                answer.raise_for_status()


async def _wait_until_ready(http: aiohttp.ClientSession) -> None:
    while True:
        with suppress(aiohttp.ClientConnectionError):
            async with http.get("readyz") as answer:
                if answer.status == 200:  # noqa: PLR2004
                    return
        await asyncio.sleep(0.2)


async def _upload(http: aiohttp.ClientSession, title: str, photo: bytes) -> str:
    form = aiohttp.FormData()
    form.add_field("file", photo, filename=title, content_type="image/jpeg")
    async with http.post("upload", data=form) as answer:
        answer.raise_for_status()
        name: str = (await answer.json())["filename"]
        return name


if __name__ == "__main__":
    try:
        asyncio.run(demo())
    except ProgramEnded as ended:
        sys.exit(f"demo: {ended}")
    except (KeyboardInterrupt, asyncio.CancelledError):
        pass
