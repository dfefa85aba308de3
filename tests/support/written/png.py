"""PNG files written from their parts: every colour type, depth and interlacing, with any chunks.

https://www.w3.org/TR/png-3/: 7 for the samples' order and Adam7, 9 for filters (0 is used throughout), 11 for chunks.
"""

import struct
import zlib
from collections.abc import Sequence
from functools import cache

import pyvips

GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
_CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGB_ALPHA: 4}
_WHOLE = ((0, 0, 1, 1),)
# Left, top and step across and down of each pass.
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))

Chunk = tuple[bytes, bytes]  # type and data


def write(
    samples: pyvips.Image, colour_type: int, depth: int, *, interlaced: bool = False, chunks: Sequence[Chunk] = ()
) -> bytes:
    """The file. `samples` holds each channel's values, 0 to 2 ** depth - 1; `chunks` go before the pixels, in order."""
    assert samples.bands == _CHANNELS[colour_type]
    head = struct.pack(">IIBBBBB", samples.width, samples.height, depth, colour_type, 0, 0, interlaced)
    packed = zlib.compress(_lines(samples, depth, _ADAM7 if interlaced else _WHOLE), 1)
    everything = ((b"IHDR", head), *chunks, (b"IDAT", packed), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in everything)


@cache
def profile_chunk(profile: bytes) -> Chunk:
    """An ICC profile."""
    return b"iCCP", b"profile\0\0" + zlib.compress(profile)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _lines(samples: pyvips.Image, depth: int, passes: Sequence[tuple[int, int, int, int]]) -> bytes:
    wide = depth > 8
    memory = samples.cast("ushort").byteswap() if wide else samples.cast("uchar")
    data = bytes(memory.write_to_memory())
    size = samples.bands * (2 if wide else 1)  # bytes of a pixel, before those of less than 8 bits are packed
    length = samples.width * size
    lines = []
    for left, top, across, down in passes:
        for y in range(top, samples.height, down):
            line = data[y * length : (y + 1) * length]
            if (left, across) != (0, 1):
                line = _every(line, size, left, across)
            if line:
                lines.append(b"\0" + (line if depth >= 8 else _packed(line, depth)))
    return b"".join(lines)


def _every(line: bytes, size: int, left: int, across: int) -> bytes:
    """Of pixels with `size` bytes each, the one at `left`, and each that follows `across` pixels later."""
    chosen = bytearray(len(range(left, len(line) // size, across)) * size)
    for index in range(size):
        chosen[index::size] = line[left * size + index :: across * size]
    return bytes(chosen)


def _packed(line: bytes, depth: int) -> bytes:
    """Samples of `depth` bits, the first in the highest bits of a byte."""
    line += bytes(-len(line) % (8 // depth))
    packed = 0
    for index in range(8 // depth):
        packed |= int.from_bytes(line[index :: 8 // depth]) << (8 - depth * (index + 1))
    return packed.to_bytes(len(line) * depth // 8)
