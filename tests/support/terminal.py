"""Commands as a person sees them who runs them in a terminal."""

import asyncio
import os
import pty
import sys
import termios
from collections.abc import Awaitable, Callable
from pathlib import Path


async def _nothing() -> None:
    """For those who do nothing before they type."""


async def shown(
    *command: str,
    environment: dict[str, str],
    folder: Path,
    typed: bytes = b"",
    when: str = "",
    before: Callable[[], Awaitable[None]] = _nothing,
) -> tuple[int, str]:
    """Exit status of `python -m COMMAND`, and all that it wrote to its terminal.

    When it has written `when`, `before` is called, and then this is `typed`.
    """
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(ours, (50, 200))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *command,
        env=environment,
        cwd=folder,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        preexec_fn=_become_terminal if typed else None,  # for ^C, which the terminal makes a signal of
    )
    os.close(theirs)
    text = ""
    if typed:
        text = await asyncio.to_thread(_until, ours, when)
        await before()
        os.write(ours, typed)
    text += await asyncio.to_thread(_until, ours, None)
    os.close(ours)
    return await process.wait(), text


def _become_terminal() -> None:
    os.login_tty(0)  # closes 0, and opens it again


def _until(terminal: int, end: str | None) -> str:
    """What comes until `end`, or until the other end is closed, which Linux tells by an error."""
    found = b""
    while end is None or end.encode() not in found:
        try:
            found += os.read(terminal, 65536)
        except OSError:
            break
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
