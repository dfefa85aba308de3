"""TEMP_FOLDER: files that exist while a request or an event is handled. Several services may share the folder."""

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
_STALE = 3600  # seconds; nothing is handled so long, so an older file was left by a crash


def temporary_path(folder: Path) -> Path:
    """A fresh name in the folder. The caller removes the file."""
    return folder / f"{_PREFIX}{uuid4().hex}"


@asynccontextmanager
async def temporary_copy(data: bytes, folder: Path) -> AsyncIterator[Path]:
    """A file in the folder with the data, which is removed when the context ends. Raises StorageFull, StorageFault."""
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
    """Remove files that a crash left. Raises OSError."""
    for left in folder.glob(f"{_PREFIX}*"):
        with suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > _STALE:
                left.unlink()


def prepare_temporary_folder(folder: Path) -> None:
    """Make the folder, check that it can be written to, and remove files that a crash left. Raises SettingsError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder == default_folder() and folder.lstat().st_uid != os.getuid():
            # In the system's folder, another user may have made this folder, or a link of this name, before.
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
