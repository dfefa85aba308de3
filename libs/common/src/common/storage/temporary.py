"""TEMP_FOLDER: files that live as long as a request or an event is in hand. Several services may share it."""

import errno
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from uuid import uuid4

from common.cancellation import in_thread
from common.errors import SettingsError, StorageFault, StorageFull
from common.settings.folders import default_folder

_PREFIX = "image-backend-"
_STALE = 3600  # seconds; nothing is in hand so long, so what is older was left by a crash


def temporary_path(folder: Path) -> Path:
    """A fresh name in the folder. Whoever asks for it removes the file."""
    return folder / f"{_PREFIX}{uuid4().hex}"


@asynccontextmanager
async def temporary_copy(data: bytes, folder: Path) -> AsyncIterator[Path]:
    """A file in the folder that holds the data, and goes with the context. Raises StorageFull, StorageFault."""
    path = temporary_path(folder)
    try:
        try:
            await in_thread(path.write_bytes, data)
        except OSError as error:
            raise temporary_fault(folder, error) from error
        yield path
    finally:
        path.unlink(missing_ok=True)


def temporary_fault(folder: Path, error: OSError) -> StorageFault:
    """What to raise when the folder cannot be written to."""
    fault = StorageFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else StorageFault
    return fault(f"the temporary folder {folder}: {error.strerror}")


def remove_stale_files(folder: Path) -> None:
    """Remove what a crash left. Raises OSError."""
    for left in folder.glob(f"{_PREFIX}*"):
        with suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > _STALE:
                left.unlink()


def prepare_temporary_folder(folder: Path) -> None:
    """Make the folder, see that it can be written to, and clear what a crash left. Raises SettingsError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder == default_folder() and folder.lstat().st_uid != os.getuid():
            # In the system's folder, anybody can be there first: with a folder to look into, or a link.
            raise SettingsError(
                [f"TEMP_FOLDER {folder}, the default, belongs to another user: expected a folder to be set"]
            )
        probe = temporary_path(folder)
        probe.touch()
        probe.unlink()
        remove_stale_files(folder)
    except OSError as error:
        expected = "expected a folder that can be written to"
        raise SettingsError([f"TEMP_FOLDER {folder} cannot be used: {error.strerror} ({expected})"]) from error
