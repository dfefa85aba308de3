"""Two local buckets and a temporary folder, to see which files are left in them."""

from contextlib import suppress
from pathlib import Path

from common.storage.base import Buckets
from common.storage.local import LocalStorage


def bytes_in(folder: Path) -> int:
    """Of all files in the folder. One that is removed meanwhile, as a service removes its own, has none."""
    found = 0
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            found += path.stat().st_size
    return found


class Folders:
    """Two local buckets and a temporary folder, and what is in them."""

    def __init__(self, folder: Path) -> None:
        self.temporary = folder / "temp"
        self.temporary.mkdir(parents=True, exist_ok=True)
        self.buckets = Buckets(LocalStorage.open(folder / "incoming"), LocalStorage.open(folder / "active"))
        self._folder = folder

    def nothing_temporary(self) -> bool:
        """Whether nobody has left a file that is no object."""
        return not any(path.startswith("temp/") or "/.tmp/" in path for path in self.files())

    def files(self) -> dict[str, bytes]:
        """All files in all folders, by their paths."""
        found = (path for path in self._folder.rglob("*") if path.is_file())
        return {str(path.relative_to(self._folder)): path.read_bytes() for path in found}
