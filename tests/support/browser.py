"""A real browser, without a window."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@asynccontextmanager
async def page(url: str, folder: Path) -> AsyncIterator[None]:
    """The page, open in a browser with a fresh profile in `folder`."""
    program = next(found for name in PROGRAMS if (found := shutil.which(name)))
    with (folder / "browser.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            program,
            *_QUIET,
            f"--user-data-dir={folder / 'browser'}",
            "--remote-debugging-port=0",  # without it, a headless browser leaves once the page is loaded
            url,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": os.environ["TMPDIR"]},
            stdout=log,
            stderr=log,
            process_group=0,
        )
    try:
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
