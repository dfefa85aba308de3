"""The walls of a decoding process: what Landlock and seccomp forbid it before it gets strangers' bytes."""

import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from common.sandbox import fonts, landlock, seccomp


@dataclass(frozen=True)
class Walls:
    """Which walls are in force: the version of Landlock's ABI, 0 without it, and whether seccomp is."""

    landlock: int
    seccomp: bool

    def missing(self) -> list[str]:
        """The names of those that do not stand."""
        return [name for name, stands in (("Landlock", self.landlock > 0), ("seccomp", self.seccomp)) if not stands]

    def complaint(self) -> str | None:
        """A sentence that says which walls are missing, or None where none is."""
        missing = self.missing()
        return f"this system has no {' and no '.join(missing)}" if missing else None

    def __str__(self) -> str:
        return f"landlock: {self.landlock}, seccomp: {'on' if self.seccomp else 'off'}"


def confine() -> Walls:
    """Raise the walls around this process, which has one thread and has imported all that it needs.

    Returns those that were seen to stand, by trying what they forbid. Raises OSError.
    """
    version = landlock.restrict(readable())
    seccomp.confine()
    return Walls(
        landlock=version if _is_denied(lambda: os.close(os.open("/", os.O_RDONLY))) else 0,
        seccomp=_is_denied(lambda: socket.socket(socket.AF_UNIX).close()),
    )


def readable() -> list[Path]:
    """What decoding processes can read: fonts, and the libraries of Python for what they import late.

    Not the folder that the service was started in, nor those that PYTHONPATH adds: it is not passed on to them.
    """
    others = {"", str(Path.cwd()), *os.environ.get("PYTHONPATH", "").split(os.pathsep)}
    libraries = [Path(path) for path in sys.path if path not in others]
    return [*fonts.readable_paths(), Path(os.__file__).parent, *libraries]


def _is_denied(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except PermissionError:
        return True
    return False
