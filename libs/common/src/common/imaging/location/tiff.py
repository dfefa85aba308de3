"""EXIF is a TIFF. The location is removed in place, so that all offsets stay valid.

https://www.cipa.jp/std/documents/e/DC-X008-Translation-2019-E.pdf, 4.5 and 4.6; TIFF 6.0, section 2.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from common.imaging.location.spans import Span, merged

_HEADER, _COUNT, _ENTRY, _POINTER = 8, 2, 12, 4  # bytes
_MOST_DIRECTORIES = 64

# Bytes of a value of each type.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 129: 1}
_SHORT, _LONG, _IFD = 3, 4, 13

_ORIENTATION, _THUMBNAIL, _THUMBNAIL_LENGTH = 0x0112, 0x0201, 0x0202
_GPS, _EXIF, _INTEROPERABILITY, _SUBDIRECTORIES = 0x8825, 0x8769, 0xA005, 0x014A
_DIRECTORIES = (_GPS, _EXIF, _INTEROPERABILITY, _SUBDIRECTORIES)

# Removed besides the GPS directory: XMP, IPTC and Photoshop, which have segments of their own in JPEG; GeoTIFF; and
# data in a camera maker's own format, in which some makers put coordinates or place names.
_OPAQUE = frozenset({
    0x02BC,  # XMP
    0x83BB,  # IPTC
    0x8649,  # Photoshop
    0x830E, 0x8480, 0x8482, 0x85D8, 0x87AF, 0x87B0, 0x87B1, 0xA480,  # GeoTIFF and GDAL
    0x927C,  # MakerNote
    0xC634,  # DNG's private data
})  # fmt: skip


class Broken(ValueError):
    """The block cannot be parsed without doubt."""


@dataclass(frozen=True)
class _Entry:
    tag: int
    kind: int
    count: int
    start: int  # offset of the value, which may be in the entry itself
    raw: bytes

    @property
    def end(self) -> int:
        return self.start + _SIZES[self.kind] * self.count


@dataclass
class _Block:
    """The TIFF while it is walked: which bytes stay, and which are dropped."""

    data: bytearray
    order: str
    kept: list[Span] = field(default_factory=list)
    dropped: list[Span] = field(default_factory=list)
    walked: set[int] = field(default_factory=set)

    def number(self, layout: str, at: int) -> int:
        try:
            (number,) = struct.unpack_from(self.order + layout, self.data, at)
        except struct.error as error:
            raise Broken("it is cut off") from error
        return int(number)

    def entries(self, directory: int) -> list[_Entry]:
        """The directory's entries, each of which has its value within the block. Raises Broken."""
        if directory in self.walked or len(self.walked) >= _MOST_DIRECTORIES or directory < _HEADER:
            raise Broken("its directories form a loop, or are too many")
        self.walked.add(directory)
        first = directory + _COUNT
        return [self._entry(first + _ENTRY * index) for index in range(self.number("H", directory))]

    def _entry(self, at: int) -> _Entry:
        raw = bytes(self.data[at : at + _ENTRY])
        if len(raw) < _ENTRY:
            raise Broken("a directory is cut off")
        tag, kind, count, offset = struct.unpack(self.order + "HHII", raw)
        if kind not in _SIZES:
            raise Broken("a value has an unknown type")
        entry = _Entry(tag, kind, count, at + 8 if _SIZES[kind] * count <= _POINTER else offset, raw)
        if entry.end > len(self.data):
            raise Broken("a value is cut off")
        return entry

    def targets(self, entry: _Entry) -> list[int]:
        """The directories that the entry points to. Raises Broken."""
        if entry.kind not in (_LONG, _IFD) or entry.count > _MOST_DIRECTORIES:
            raise Broken("a pointer to a directory has a wrong type or count")
        return [self.number("I", entry.start + _POINTER * index) for index in range(entry.count)]

    def keep(self, start: int, end: int) -> None:
        self.kept.append((start, end))

    def drop(self, start: int, end: int) -> None:
        self.dropped.append((start, end))


def without_location(tiff: bytes, preview: Callable[[bytes], bytes]) -> bytes:
    """The TIFF without the location, its length unchanged. `preview` does the same for the JPEG within.

    Raises Broken where it cannot be parsed without doubt.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        raise Broken("it is not a TIFF")
    block = _Block(bytearray(tiff), order)
    block.keep(0, _HEADER)
    directory, edits = block.number("I", 4), list[tuple[int, bytes]]()
    if not _walk_chain(block, directory, edits, preview):
        raise Broken("its first directory has nothing to keep")
    if _overlap(block):
        raise Broken("what is dropped and what stays share bytes")
    for start, end in merged(block.dropped):
        block.data[start:end] = bytes(end - start)
    for at, replacement in edits:
        block.data[at : at + len(replacement)] = replacement
    return bytes(block.data)


def only_orientation(value: int, length: int) -> bytes | None:
    """A TIFF with this orientation alone, padded to `length` bytes, or None where those are too few."""
    entry = struct.pack(">HHIHH", _ORIENTATION, _SHORT, 1, value, 0)
    smallest = b"MM\0*" + struct.pack(">IH", _HEADER, 1) + entry + bytes(_POINTER)
    return smallest.ljust(length, b"\0") if len(smallest) <= length else None


def _walk_chain(block: _Block, first: int, edits: list[tuple[int, bytes]], preview: Callable[[bytes], bytes]) -> int:
    """Walk a directory and those linked after it. Returns how many entries of the first one stay."""
    left, directory = -1, first
    while directory:
        entries = block.entries(directory)
        end = directory + _COUNT + _ENTRY * len(entries)
        following = block.number("I", end)
        block.keep(end, end + _POINTER)
        kept = _walk(block, directory, entries, edits, preview)
        if len(kept) < len(entries):
            edits.append((directory, _packed(block, kept, len(entries), following)))
        left = len(kept) if left < 0 else left
        directory = following
    return left


def _walk(
    block: _Block,
    directory: int,
    entries: list[_Entry],
    edits: list[tuple[int, bytes]],
    preview: Callable[[bytes], bytes],
) -> list[_Entry]:
    """Mark the bytes of the directory, and of what it points to, as kept or dropped. Returns the entries that stay."""
    block.keep(directory, directory + _COUNT + _ENTRY * len(entries))
    kept = [entry for entry in entries if entry.tag != _GPS and entry.tag not in _OPAQUE]
    for entry in entries:
        if entry.tag in _OPAQUE and entry.end - entry.start > _POINTER:
            block.drop(entry.start, entry.end)
        if entry.tag == _GPS:
            _drop_directories(block, entry)
    for entry in kept:
        block.keep(entry.start, entry.end)
        if entry.tag in _DIRECTORIES:
            for target in block.targets(entry):
                if entry.tag == _SUBDIRECTORIES:
                    _walk_chain(block, target, edits, preview)
                else:
                    _walk_single(block, target, edits, preview)
    edits.extend(_thumbnail(block, kept, preview))
    return kept


def _walk_single(
    block: _Block, directory: int, edits: list[tuple[int, bytes]], preview: Callable[[bytes], bytes]
) -> None:
    """Walk a directory without a link to another: some writers leave the link out where none may follow."""
    entries = block.entries(directory)
    kept = _walk(block, directory, entries, edits, preview)
    if len(kept) < len(entries):
        edits.append((directory, _packed(block, kept, len(entries), None)))


def _drop_directories(block: _Block, entry: _Entry) -> None:
    for target in block.targets(entry):
        entries = block.entries(target)
        block.drop(target, target + _COUNT + _ENTRY * len(entries))
        for dropped in entries:
            block.drop(dropped.start, dropped.end)


def _packed(block: _Block, kept: list[_Entry], before: int, following: int | None) -> bytes:
    """The directory with the entries that stay, padded with zeros to its former length."""
    body = struct.pack(block.order + "H", len(kept)) + b"".join(entry.raw for entry in kept)
    length = _COUNT + _ENTRY * before
    if following is not None:
        body += struct.pack(block.order + "I", following)
        length += _POINTER
    return body.ljust(length, b"\0")


def _thumbnail(block: _Block, entries: list[_Entry], preview: Callable[[bytes], bytes]) -> Iterator[tuple[int, bytes]]:
    found = {entry.tag: entry for entry in entries if entry.tag in (_THUMBNAIL, _THUMBNAIL_LENGTH)}
    if len(found) < 2:  # noqa: PLR2004 - one without the other points nowhere
        return
    start, length = (block.number("I", found[tag].start) for tag in (_THUMBNAIL, _THUMBNAIL_LENGTH))
    if start + length > len(block.data):
        raise Broken("its thumbnail is cut off")
    block.keep(start, start + length)
    before = bytes(block.data[start : start + length])
    after = preview(before)
    if after != before:
        yield start, after


def _overlap(block: _Block) -> bool:
    """Whether a byte is both dropped and kept."""
    furthest = {True: 0, False: 0}  # the last end so far, of dropped spans and of kept ones
    both = [(start, end, True) for start, end in block.dropped] + [(start, end, False) for start, end in block.kept]
    for start, end, is_dropped in sorted(span for span in both if span[0] < span[1]):
        if start < furthest[not is_dropped]:
            return True
        furthest[is_dropped] = max(furthest[is_dropped], end)
    return False
