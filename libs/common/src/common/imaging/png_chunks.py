"""The chunks of a PNG that say what its colours are: read, and carried over to another file.

https://www.w3.org/TR/png-3/, 5.2, 5.3 and 11.3.2. libvips reads and writes iCCP, and drops the others.
"""

import struct
import zlib

from common.sandbox.protocol import Original

_SIGNATURE = 8  # bytes
_AROUND = 12  # bytes of a chunk besides its data: length, type and checksum
_MOST_CHUNKS = 1000  # are looked at: a file may have millions of empty ones
# Bytes of data; a chunk of another length is invalid.
_LENGTHS = {b"cICP": 4, b"mDCV": 24, b"cLLI": 8, b"sRGB": 1, b"gAMA": 4, b"cHRM": 32}
_WITHOUT_PROFILE = (b"sRGB", b"gAMA", b"cHRM")  # count only in a file without iCCP


def colour_chunks(data: Original) -> dict[bytes, bytes]:
    """The data of each valid colour chunk before the pixels, by type. Of iCCP, only the presence: its data is empty."""
    found: dict[bytes, bytes] = {}
    at = _SIGNATURE
    for _ in range(_MOST_CHUNKS):
        head = data[at : at + 8]
        length, kind = int.from_bytes(head[:4]), head[4:]
        if kind in (b"", b"IDAT", b"IEND"):
            break
        if kind == b"iCCP":
            found[kind] = b""
        elif _LENGTHS.get(kind) == length:
            found.setdefault(kind, data[at + 8 : at + 8 + length])
        at += _AROUND + length
    return {kind: chunk for kind, chunk in found.items() if len(chunk) == _LENGTHS.get(kind, 0)}


def with_colours_of(original: Original, png: bytes) -> bytes:
    """`png` as libvips wrote it, with the colour chunks of `original` that libvips dropped."""
    found = colour_chunks(original)
    kept = [kind for kind in _LENGTHS if kind in found and not (b"iCCP" in found and kind in _WITHOUT_PROFILE)]
    head = _SIGNATURE + _AROUND + int.from_bytes(png[_SIGNATURE : _SIGNATURE + 4])  # behind IHDR, the first chunk
    return png[:head] + b"".join(_chunk(kind, found[kind]) for kind in kept) + png[head:]


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
