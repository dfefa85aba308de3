"""Commands as a person sees them who runs them in a terminal."""

import asyncio
import os
import pty
import sys
import termios
from pathlib import Path


async def shown(*command: str, environment: dict[str, str], folder: Path) -> tuple[int, str]:
    """Exit status of `python -m COMMAND`, and all that it wrote to its terminal."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(ours, (50, 200))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *command, env=environment, cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    text = await asyncio.to_thread(_all, ours)
    os.close(ours)
    return await process.wait(), text


def _all(terminal: int) -> str:
    """What comes until the other end is closed, which Linux tells by an error."""
    found = b""
    while True:
        try:
            found += os.read(terminal, 65536)
        except OSError:
            return found.decode(errors="replace")


def rows(text: str) -> list[str]:
    """The rows that stay: each as what was last written from its beginning on over what stood there."""
    found = []
    for line in text.replace("\r\n", "\n").split("\n"):
        row = ""
        for piece in line.split("\r"):
            row = piece + row[len(piece) :]
        found.append(row.rstrip())
    return found
