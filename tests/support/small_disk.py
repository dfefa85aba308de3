"""A disk that a test can fill."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_PAGE = 4  # kilobytes
_TRIES = 50  # to fill a disk that others write to


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[None]:
    """Mount a file system of this size on the folder. Skips the test where that is not allowed."""
    try:
        mount(folder, kilobytes)
    except PermissionError:
        pytest.skip("only root can make a small disk to fill")
    try:
        yield
    finally:
        unmount(folder)


def mount(folder: Path, kilobytes: int) -> None:
    """Mount a file system of this size on the folder; what it holds takes memory. Raises PermissionError."""
    folder.mkdir(exist_ok=True)
    if not _mounts(f"size={kilobytes}k", folder):
        raise PermissionError(f"{folder}: only root can mount a disk to fill")


def unmount(folder: Path) -> None:
    """Take the file system away, with all that is in it."""
    subprocess.run(["umount", str(folder)], check=True)


def leave_no_room(folder: Path) -> None:
    """Make the mounted file system as small as what it holds. `resize` ends it."""
    for _ in range(_TRIES):
        disk = os.statvfs(folder)
        used = (disk.f_blocks - disk.f_bfree) * disk.f_frsize // 1024
        if _mounts(f"remount,size={used + _PAGE}k", folder):
            return
    raise OSError(f"{folder} cannot be filled")


def resize(folder: Path, kilobytes: int) -> None:
    """Give the mounted file system this size."""
    assert _mounts(f"remount,size={kilobytes}k", folder)


def _mounts(options: str, folder: Path) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0
