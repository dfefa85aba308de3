"""The files that text in an SVG is drawn with, as fontconfig's configuration names them.

Elements and variables are those of https://www.freedesktop.org/software/fontconfig/fontconfig-user.html. A decoding
process has no HOME, so that what is said to be in a home folder is nowhere, with walls and without. Nothing is taken
from the folder that the service was started in, unless the configuration says so: `prefix="cwd"` or `"default"`.
"""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

_SYSTEM = "/etc/fonts"
_WITHOUT_CONFIGURATION = "/usr/share/fonts", "/usr/local/share/fonts", "/var/cache/fontconfig"
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_NAMED = re.compile(r"<(dir|include|cachedir)\b([^>]*)>([^<]*)<")
_PREFIX = re.compile(r"""\bprefix\s*=\s*["'](\w+)["']""")
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&apos;", "'"), ("&amp;", "&"))


def readable_paths() -> list[Path]:
    """Files and folders: the configuration, the fonts and caches that it names, and what is linked to from there."""
    configuration = [Path(part) for part in os.environ.get("FONTCONFIG_PATH", "").split(os.pathsep) if part]
    configuration.append(Path(_SYSTEM))
    found = {*configuration, *map(Path, _WITHOUT_CONFIGURATION)}
    unread = _anywhere(os.environ.get("FONTCONFIG_FILE") or "fonts.conf", configuration)
    read: set[Path] = set()
    while unread:
        path = unread.pop()
        if path in read:
            continue
        read.add(path)
        if path.is_dir():
            unread += sorted(path.glob("*.conf"))
            continue
        for element, prefix, name in _named(path):
            if prefix == "xdg":
                continue  # in a home folder
            if element == "include":
                unread += _anywhere(name, [path.parent, *configuration])
            else:
                found.update(_anywhere(name, _seen_from(prefix, path)))
    found |= read
    return [*found, *_linked(found)]


def _anywhere(name: str, folders: Iterable[Path]) -> list[Path]:
    """Wherever there is a file or folder of this name; one that begins with / is in one place."""
    return [path for folder in folders if _exists(path := folder / name)]


def _seen_from(prefix: str, configuration: Path) -> list[Path]:
    """The folders that a relative name in this file is looked for in."""
    if prefix in ("cwd", "default"):
        return [Path()]
    return [configuration.parent, configuration.resolve().parent]


def _exists(path: Path) -> bool:
    """Whether it is there, and may be looked at: fontconfig, too, passes over what it cannot read."""
    try:
        path.stat()
    except OSError:
        return False
    return True


def _named(configuration: Path) -> Iterator[tuple[str, str, str]]:
    """Each element that names a file or folder, its prefix and the name."""
    try:
        text = configuration.read_text(errors="replace")
    except OSError:
        return
    for element, attributes, name in _NAMED.findall(_COMMENT.sub("", text)):
        for entity, character in _ENTITIES:
            name = name.replace(entity, character)  # noqa: PLW2901
        if name.strip():
            prefix = _PREFIX.search(attributes)
            yield element, prefix[1] if prefix else "", name.strip()


def _linked(paths: Iterable[Path]) -> Iterator[Path]:
    """What links in these folders lead to; a rule of Landlock is about a file, and not about a link to it."""
    seen: set[str] = set()
    folders = [str(path) for path in paths if path.is_dir()]
    while folders:
        folder = os.path.realpath(folders.pop())
        if folder in seen:
            continue
        seen.add(folder)
        try:
            entries = list(os.scandir(folder))
        except OSError:
            continue
        for entry in entries:
            if entry.is_symlink():
                yield Path(entry.path)
            if os.path.isdir(entry.path):  # noqa: PTH112 - the same for a link that leads nowhere, or round in a circle
                folders.append(entry.path)
