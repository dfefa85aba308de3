"""Listing the objects of a bucket that is a folder."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from common.storage.base import Entry


def scan_folder(bucket: Path, prefix: str, is_wanted: Callable[[str], bool]) -> Iterator[Entry | None]:
    """Entries of the folder that the prefix names, and None for each that is not wanted.

    The Nones bound the work for a number of items, even if few are wanted. A folder below the bucket's that does not
    exist has no entries. Raises OSError.
    """
    parent = prefix.rpartition("/")[0]
    folder = bucket / parent if parent else bucket
    if not folder.is_dir() and bucket.is_dir():
        return
    with os.scandir(folder) as found:
        for item in found:
            key = f"{parent}/{item.name}" if parent else item.name
            yield _entry(key, item) if is_wanted(key) and not item.name.startswith(".") else None


def _entry(key: str, item: os.DirEntry[str]) -> Entry | None:
    try:
        status = item.stat()
    except FileNotFoundError:  # removed since it was listed
        return None
    return Entry(key, status.st_size, time.time() - status.st_mtime) if item.is_file() else None
