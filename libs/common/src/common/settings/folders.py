"""The folders that settings name: the default, and whether they are apart, whatever their spelling and links."""

import tempfile
from collections.abc import Mapping
from itertools import permutations
from pathlib import Path


def default_folder() -> Path:
    """The folder where TEMP_FOLDER names none: one of its own in the system's, where buckets' folders may lie, too."""
    return Path(tempfile.gettempdir()) / "image-backend"


def overlaps(folders: Mapping[str, Path]) -> list[str]:
    """A line for each two of the folders, by the settings that name them, that are not apart."""
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


def is_within(inner: Path, outer: Path) -> bool:
    """Whether the first folder is the second, or in it. Neither has to exist yet."""
    if inner.resolve().is_relative_to(outer.resolve()):
        return True
    # A folder that is mounted in two places, or spelt with other letters where case does not count.
    return any(_same(folder, outer) for folder in (inner.resolve(), *inner.resolve().parents))


def _same(first: Path, second: Path) -> bool:
    try:
        return first.samefile(second)
    except OSError:
        return False
