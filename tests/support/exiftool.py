"""What exiftool reads from a file, and files with metadata that it writes."""

import atexit
import json
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

# Names of tags that say where a photo was taken, as exiftool spells them, whatever group they are in.
LOCATION = re.compile(
    r"GPS|Latitude|Longitude|Altitude|Location|^(Geo.*|City|State|Province-State|Sub-location|Country.*|Keyword)$"
)
# Of the file and not of its metadata, or worked out by exiftool from other tags.
_NOT_METADATA = ("System", "File", "ExifTool", "Composite", "JFIF")
# Where something lies, how long it is, and its digest: other numbers for the same.
_PLACES = re.compile(r"(Offset|Start|Length|Digest|ThumbnailImage|HasExtendedXMP)$")

Tags = dict[str, object]


def tags(*files: bytes) -> list[Tags]:
    """The metadata of each file, with its group: `{"IFD0:Make": …}`."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}" for number in range(len(files))]
        for path, data in zip(paths, files, strict=True):
            path.write_bytes(data)
        told = _told("-json", "-a", "-u", "-n", "-struct", "-G1:4", *map(str, paths))
    found = {Path(entry["SourceFile"]).name: entry for entry in json.loads(told)}
    return [_metadata(found[path.name]) for path in paths]


def _metadata(entry: Mapping[str, object]) -> Tags:
    named = {tag: value for tag, value in entry.items() if ":" in tag}
    return {tag: value for tag, value in named.items() if tag.partition(":")[0] not in _NOT_METADATA}


def locations(found: Tags) -> Tags:
    """Those of the tags that say where the photo was taken."""
    return {tag: value for tag, value in found.items() if LOCATION.search(tag.rpartition(":")[2])}


def others(found: Tags) -> Tags:
    """Those of the tags that do not, and that a file keeps however it is laid out."""
    kept = {tag: value for tag, value in found.items() if not LOCATION.search(tag.rpartition(":")[2])}
    return {tag: value for tag, value in kept.items() if not _PLACES.search(tag)}


def written(data: bytes, arguments: Sequence[str]) -> bytes:
    """The file with these tags, as exiftool writes them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(data)
        told = _told("-m", "-overwrite_original", *arguments, str(path))
        assert "1 image files updated" in told, told
        return path.read_bytes()


def _told(*arguments: str) -> str:
    """What exiftool prints of this command."""
    program = _exiftool()
    assert program.stdin is not None
    assert program.stdout is not None
    program.stdin.write("".join(f"{argument}\n" for argument in (*arguments, "-execute")))
    program.stdin.flush()
    lines = []
    while (line := program.stdout.readline()) != "{ready}\n":
        assert line, "exiftool has ended"
        lines.append(line)
    return "".join(lines)


@cache
def _exiftool() -> subprocess.Popen[str]:
    """One process for all commands, which ends with this one: to start it costs more than what it is asked for."""
    command = ["setpriv", "--pdeathsig", "KILL", "exiftool", "-stay_open", "True", "-@", "-"]
    program = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(program.communicate, "-stay_open\nFalse\n")
    return program
