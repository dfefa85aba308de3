"""TEMP_FOLDER: files that live as long as a request or an event is in hand. Several services may share it."""

import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from common.errors import SettingsError

_PREFIX = "image-backend-"
_STALE = 3600  # seconds; nothing is in hand so long, so what is older was left by a crash


def default_folder() -> Path:
    """The folder where TEMP_FOLDER names none: one of its own in the system's, where buckets' folders may lie, too."""
    return Path(tempfile.gettempdir()) / "image-backend"


def temporary_file(folder: Path) -> Path:
    """A fresh name in the folder. Whoever asks for it removes the file."""
    return folder / f"{_PREFIX}{uuid4().hex}"


def clear_temporary(folder: Path) -> None:
    """Remove what a crash left. Raises OSError."""
    for left in folder.glob(f"{_PREFIX}*"):
        with suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > _STALE:
                left.unlink()


def prepare_temporary(folder: Path) -> None:
    """Make the folder, see that it can be written to, and clear what a crash left. Raises SettingsError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder == default_folder() and folder.lstat().st_uid != os.getuid():
            # In the system's folder, anybody can be there first: with a folder to look into, or a link.
            raise SettingsError(
                [f"TEMP_FOLDER {folder}, the default, belongs to another user: expected a folder to be set"]
            )
        probe = temporary_file(folder)
        probe.touch()
        probe.unlink()
        clear_temporary(folder)
    except OSError as error:
        expected = "expected a folder that can be written to"
        raise SettingsError([f"TEMP_FOLDER {folder} cannot be used: {error.strerror} ({expected})"]) from error
