"""PNG without the location. Chunks with pixels stay byte for byte.

https://www.w3.org/TR/png-3/, 5, 11.3 and 13; https://exiftool.org/TagNames/PNG.html for "Raw profile type".
"""

import re
import struct
import zlib
from dataclasses import dataclass

from common.imaging.location import blocks, xmp
from common.imaging.location.names import tells_location

_SIGNATURE = 8  # bytes
_AROUND = 12  # bytes of a chunk besides its data: length, kind and checksum
_ANCILLARY = 0x20  # the bit of a kind's first letter that lets decoders pass over it
_TEXT = (b"tEXt", b"zTXt", b"iTXt")
# Chunks that say how to show the pixels, and when they were made.
_HARMLESS = frozenset(
    b"tRNS cHRM gAMA iCCP sBIT sRGB cICP mDCV mDCv cLLI cLLi bKGD hIST pHYs sPLT tIME oFFs pCAL sCAL sTER gIFg "
    b"acTL fcTL fdAT".split()
)
_MOST_TEXT = 16 << 20  # bytes, decompressed
_XMP = b"xml:com.adobe.xmp"
_RAW = b"raw profile type "
_ICC = (b"icc", b"icm")
_PROFILE = re.compile(rb"\n?([^\n]{1,80})\n *(\d{1,9})\n([0-9a-fA-F\s]*)")
_LINE = 72  # hexadecimal digits


@dataclass(frozen=True)
class _Text:
    """A text chunk: the bytes before the text as they are stored, and the text, decompressed."""

    head: bytes
    keyword: bytes
    packed: bool
    text: bytes

    def data(self, text: bytes) -> bytes:
        return self.head + (zlib.compress(text) if self.packed else text)


def without_location(data: bytes, orientation: int) -> bytes:
    """The file without the location. Broken EXIF is replaced by `orientation`, which is what the decoder read.

    What follows IEND is cut off.
    """
    out, at = [data[:_SIGNATURE]], _SIGNATURE
    while at + _AROUND <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind, end = data[at + 4 : at + 8], at + _AROUND + length
        chunk = data[at:end]
        if end <= len(data):
            out.append(_stripped(kind, chunk, orientation))
        elif not kind[0] & _ANCILLARY:
            out.append(chunk)  # an incomplete chunk of pixels, which decoders show as far as it goes
        at = end
        if kind == b"IEND":
            break
    return b"".join(out)


def _stripped(kind: bytes, chunk: bytes, orientation: int) -> bytes:
    """The chunk without the location; empty for one that is removed."""
    if not kind[0] & _ANCILLARY or kind in _HARMLESS:
        return chunk
    body, stripped = chunk[8:-4], None
    if kind == b"eXIf":
        stripped = blocks.exif(body, orientation)
    elif kind in _TEXT:
        stripped = _text(kind, body, orientation)
    if stripped is None or stripped == body:
        return b"" if stripped is None else chunk
    # A wrong checksum stays wrong: a decoder that ignored the chunk has to ignore it still.
    checksum = int.from_bytes(chunk[-4:]) ^ _checksum(kind, body) ^ _checksum(kind, stripped)
    return struct.pack(">I", len(stripped)) + kind + stripped + struct.pack(">I", checksum)


def _checksum(kind: bytes, data: bytes) -> int:
    return zlib.crc32(data, zlib.crc32(kind))


def _text(kind: bytes, body: bytes, orientation: int) -> bytes | None:
    found = _read(kind, body)
    keyword = b"" if found is None else found.keyword.lower()
    if found is None or tells_location(keyword.decode("latin-1")):
        return None
    if keyword == _XMP or blocks.is_xmp(found.text):
        text = xmp.without_location(found.text)
    elif keyword.startswith(_RAW):
        text = found.text if keyword.endswith(_ICC) else _profile(found.text, orientation)
    else:
        return body
    if text is None:
        return None
    return body if text == found.text else found.data(text)


def _read(kind: bytes, body: bytes) -> _Text | None:
    keyword, zero, rest = body.partition(b"\0")
    if not zero:
        return None
    if kind == b"tEXt":
        return _Text(keyword + zero, keyword, packed=False, text=rest)
    flag, stored = 1, rest[1:]  # after the compression method
    if kind == b"iTXt":
        try:
            flag, (_, _, stored) = rest[0], rest[2:].split(b"\0", 2)  # after language and translated keyword
        except (IndexError, ValueError):
            return None
    head = body[: len(body) - len(stored)]
    text = _unpacked(stored) if flag == 1 else stored
    return None if text is None or flag > 1 else _Text(head, keyword, packed=flag == 1, text=text)


def _unpacked(stored: bytes) -> bytes | None:
    try:
        unpacking = zlib.decompressobj()
        text = unpacking.decompress(stored, _MOST_TEXT)
    except zlib.error:
        return None
    return text if unpacking.eof else None


def _profile(text: bytes, orientation: int) -> bytes | None:
    """The text of a "Raw profile type" without the location: a block in hexadecimal, as ImageMagick writes it."""
    found = _PROFILE.fullmatch(text)
    if found is None:
        return None
    try:
        block = bytes.fromhex(found[3].decode())
    except ValueError:
        return None
    stripped = blocks.profile(block, orientation) if len(block) == int(found[2]) else None
    if stripped is None or stripped == block:
        return None if stripped is None else text
    digits = stripped.hex()
    lines = [digits[at : at + _LINE] for at in range(0, len(digits), _LINE)]
    return f"\n{found[1].decode('latin-1')}\n{len(stripped):8}\n".encode("latin-1") + "\n".join(lines).encode() + b"\n"
