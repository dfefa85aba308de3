"""Steps of writing files that are safe against crashes and other writers. All of them raise OSError."""

import os
import shutil
from pathlib import Path


def link_or_copy(source: Path, target: Path) -> None:
    """Give the content a second name, which is not in use yet: as a hard link if possible, else as a copy."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)


def write_synced(path: Path, data: bytes) -> None:
    """Write a new file, and return once its content survives a crash of the machine."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def claim_name(source: Path, target: Path) -> None:
    """Claim the name; only one caller can. Raises FileExistsError when it is in use."""
    names = source.stat().st_nlink
    try:
        os.link(source, target)
    except FileExistsError:
        # A network file system repeats a request whose answer was lost, and finds the name that it made itself.
        if source.stat().st_nlink == names or not source.samefile(target):
            raise
    except OSError:  # no hard links here: an empty file holds the name until it is replaced
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))


def sync_file(path: Path) -> None:
    """Return once the content survives a crash of the machine."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Return once the names in the folder survive a crash of the machine."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
