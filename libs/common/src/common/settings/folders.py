"""The folders that settings name: the default of TEMP_FOLDER; that none lies within another, or is open to decoders."""

import tempfile
from collections.abc import Hashable, Mapping
from itertools import permutations
from pathlib import Path

from common.sandbox.walls import readable


def default_folder() -> Path:
    """The default of TEMP_FOLDER: a folder in the system's, which may hold the buckets' folders, too."""
    return Path(tempfile.gettempdir()) / "image-backend"


def overlaps(folders: Mapping[str, Path]) -> list[str]:
    """An error line for each two folders of which one is, or lies within, the other. Keys are the settings' names."""
    lines: list[str] = []
    told: set[frozenset[str]] = set()
    for inner, outer in permutations(folders, 2):
        if frozenset((inner, outer)) not in told and is_within(folders[inner], folders[outer]):
            told.add(frozenset((inner, outer)))
            one = is_within(folders[outer], folders[inner])
            relation = "is the same folder as" if one else "lies within"
            lines.append(
                f"{inner} {folders[inner]} {relation} {outer} {folders[outer]}: expected folders that are apart"
            )
    return lines


def exposed(folders: Mapping[str, Path]) -> list[str]:
    """An error line for each folder that decoding processes could read. Keys are the settings' names."""
    paths = [(path, _identity(path)) for path in readable()]
    lines = []
    for name, folder in folders.items():
        around = _around(folder)
        found = next((path for path, identity in paths if identity in around), None)
        if found is not None:
            lines.append(
                f"{name} {folder} lies within {found}, where decoders may read fonts or libraries: expected a folder "
                "elsewhere"
            )
    return lines


def is_within(inner: Path, outer: Path) -> bool:
    """Whether `inner` is `outer`, or lies in it, also by links. Neither has to exist yet."""
    return _identity(outer) in _around(inner)


def _around(folder: Path) -> set[Hashable]:
    """The identities of the folder, and of all that it lies in."""
    resolved = folder.resolve()
    return {_identity(path) for path in (resolved, *resolved.parents)}


def _identity(path: Path) -> Hashable:
    """The same for all names of one folder: it may be mounted twice, or its name spelt in another case.

    For what does not exist yet, the path without links.
    """
    try:
        found = path.stat()
    except OSError:
        return path.resolve()
    return found.st_dev, found.st_ino
