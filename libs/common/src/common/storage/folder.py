"""The files of a bucket that is a folder.

An object is written under a temporary name in the same file system, synced and renamed, and then its folder is synced.
So a crash or a full disk leaves no partial object under a key. Objects are never changed in place, so a file may have
two names; copies are hard links where the file system has them.
"""

import errno
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from common.errors import KeyTaken, NoSuchKey, StorageFault, StorageFull
from common.storage.files import claim_name, sync_folder

TEMPORARY = ".tmp"
_STALE = 3600  # seconds; no write takes so long, so an older temporary file was left by a crash
_SAFE_KEY = re.compile(r"([A-Za-z0-9_-][A-Za-z0-9._-]*/)?[A-Za-z0-9_-][A-Za-z0-9._-]*")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Folder:
    """One bucket's folder. Its methods block. They raise OSError, which `translated` turns into the store's errors."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._temporary = root / TEMPORARY

    def make(self) -> None:
        """Make the folder where it is missing. Raises StorageFault."""
        with self.translated(""):
            self._temporary.mkdir(parents=True, exist_ok=True)

    def path(self, key: str) -> Path:
        """The object's path. Raises StorageFault for a key that is no name in this folder, such as `../key`."""
        if not _SAFE_KEY.fullmatch(key):
            raise StorageFault(f"{key!r} is not a key that a folder can hold")
        return self.root / key

    def unused_path(self) -> Path:
        """A temporary name in the same file system, which nothing has yet."""
        return self._temporary / uuid4().hex

    def store(self, writes: Mapping[str, Callable[[Path], None]], *, exclusive: bool) -> None:
        """Store under each key what its function writes to a temporary name.

        With `exclusive`, raises KeyTaken where an object is there already.
        """
        finals = [self.path(key) for key in writes]
        temporaries = [self.unused_path() for _ in writes]
        try:
            for temporary, write in zip(temporaries, writes.values(), strict=True):
                write(temporary)
            for temporary, final in zip(temporaries, finals, strict=True):
                if final.parent != self.root:
                    final.parent.mkdir(exist_ok=True)
                if exclusive:
                    claim_name(temporary, final)
                temporary.rename(final)
            for folder in {final.parent for final in finals}:
                sync_folder(folder)
        except FileExistsError as error:
            raise KeyTaken(", ".join(writes)) from error
        finally:
            # Also after a rename: one between two names of the same file does nothing, and leaves both.
            for temporary in temporaries:
                temporary.unlink(missing_ok=True)

    def remove(self, keys: Collection[str]) -> dict[str, StorageFault]:
        """Remove the objects. Returns the keys of those that are left, and why."""
        left: dict[str, StorageFault] = {}
        changed = set()
        for key in keys:
            try:
                if self._unlink(self.path(key)):
                    changed.add(self.path(key).parent)
            except StorageFault as fault:
                left[key] = fault
        self._temporary.stat()  # a key is absent only where the folder is there
        for folder in changed:
            sync_folder(folder)
        return left

    def check(self) -> None:
        """Return if the folder can be written to."""
        probe = self.unused_path()
        probe.touch()
        probe.unlink()

    def unfinished(self) -> list[Path]:
        """Temporary files that are too old to be in use."""
        found = []
        for left in self._temporary.iterdir():
            with suppress(FileNotFoundError):
                if time.time() - left.stat().st_ctime > _STALE:
                    found.append(left)
        return found

    def remove_unfinished(self) -> None:
        """Remove them."""
        for left in self.unfinished():
            left.unlink(missing_ok=True)

    @contextmanager
    def translated(self, key: str) -> Iterator[None]:
        """Turns OSError into NoSuchKey, StorageFull or StorageFault. `key` is the object's, or empty for the folder."""
        try:
            yield
        except FileNotFoundError as error:
            if key and self._temporary.is_dir():
                raise NoSuchKey(key) from error
            raise StorageFault(f"the folder {self.root} is missing") from error
        except OSError as error:
            fault = StorageFull if error.errno in _FULL else StorageFault
            raise fault(f"folder {self.root}: {error.strerror or error} ({key or 'itself'})") from error

    def _unlink(self, path: Path) -> bool:
        """Remove the file. Returns whether there was one."""
        with self.translated(path.name):
            try:
                path.unlink()
            except FileNotFoundError:
                return False
        return True
