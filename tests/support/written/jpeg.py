"""JPEG files of cells of one colour each, written from their parts: any components, markers, sampling and scans.

A block of one colour has a constant part and no waves, so nothing is lost and what decoders have to show is known.
https://www.w3.org/Graphics/JPEG/itu-t81.pdf: F.1.2 for the constant parts, G.1.2.2 for runs of blocks without waves;
Adobe's marker: https://www.adobe.com/content/dam/acom/en/devnet/postscript/pdfs/5116.DCT_Filter.pdf, 18.
"""

import struct
from collections.abc import Sequence
from itertools import product

# Annex K.3.3.1: how many codes of each length there are, and what they stand for.
_CONSTANT = bytes((0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0)), bytes(range(12))
_NO_WAVES = bytes((1, *[0] * 15)), b"\0"
_RUNS = bytes((0, 0, 0, 15, *[0] * 12)), bytes(bits << 4 for bits in range(15))

Cells = Sequence[Sequence[tuple[int, ...]]]  # rows of cells, each with a sample for each component


def write(
    width: int,
    height: int,
    cells: Cells,
    sampling: Sequence[int] = (),
    *,
    names: bytes = b"\1\2\3\4",
    progressive: bool = False,
    segments: Sequence[bytes] = (),
) -> bytes:
    """The file of width × height pixels. A cell has 8 times the largest sampling (0x21 is 2 across, 1 down) pixels.

    `names` are the components' identifiers, `segments` what goes before the frame.
    """
    count = len(cells[0][0])
    factors = [divmod(sampling[index] if sampling else 0x11, 16) for index in range(count)]
    parts = b"".join(bytes((names[index], across << 4 | down, 0)) for index, (across, down) in enumerate(factors))
    frame = struct.pack(">BHHB", 8, height, width, count) + parts
    data = b"\xff\xd8" + b"".join(segments)
    data += segment(0xDB, b"\0" + bytes([1]) * 64) + segment(0xC2 if progressive else 0xC0, frame)
    data += segment(0xC4, b"\0" + b"".join(_CONSTANT))
    data += segment(0xC4, b"\x10" + b"".join(_RUNS if progressive else _NO_WAVES))
    data += _scan(names[:count], 0, 0 if progressive else 63) + _constants(cells, factors, ended=not progressive)
    if progressive:
        largest = max(across for across, _ in factors), max(down for _, down in factors)
        for index, (across, down) in enumerate(factors):
            blocks = -(-width * across // (8 * largest[0])) * -(-height * down // (8 * largest[1]))
            data += _scan(names[index : index + 1], 1, 63) + _run(blocks)
    return data + b"\xff\xd9"


def segment(marker: int, payload: bytes) -> bytes:
    """A marker segment."""
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def jfif() -> bytes:
    """The segment that says: grey or YCbCr."""
    return segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")


def adobe(transform: int) -> bytes:
    """The segment that says what the components are: 0 RGB or CMYK, 1 YCbCr, 2 YCCK."""
    return segment(0xEE, b"Adobe" + struct.pack(">HHHB", 100, 0, 0, transform))


def oriented(orientation: int) -> bytes:
    """EXIF with an orientation."""
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    return segment(0xE1, b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 1) + entry + bytes(4))


def profiled(profile: bytes) -> list[bytes]:
    """An ICC profile, in as many segments as it needs."""
    parts = [profile[at : at + 65_000] for at in range(0, len(profile), 65_000)]
    return [
        segment(0xE2, b"ICC_PROFILE\0" + bytes((number, len(parts))) + part) for number, part in enumerate(parts, 1)
    ]


def _scan(names: bytes, first: int, last: int) -> bytes:
    return segment(0xDA, bytes([len(names)]) + b"".join(bytes((name, 0)) for name in names) + bytes((first, last, 0)))


def _constants(cells: Cells, factors: Sequence[tuple[int, int]], *, ended: bool) -> bytes:
    """For each cell and component, in each of its blocks, the difference to the block before."""
    codes = _codes(_CONSTANT)
    before = [0] * len(factors)
    bits = []
    for cell in (cell for row in cells for cell in row):
        for index, (across, down) in enumerate(factors):
            for _ in product(range(across), range(down)):
                value = 8 * (cell[index] - 128)
                difference, before[index] = value - before[index], value
                length = abs(difference).bit_length()
                tail = difference if difference > 0 else difference + (1 << length) - 1
                bits += [codes[length], format(tail, f"0{length}b") if length else "", "0" if ended else ""]
    return _stuffed("".join(bits))


def _run(blocks: int) -> bytes:
    length = blocks.bit_length() - 1
    tail = format(blocks - (1 << length), f"0{length}b") if length else ""
    return _stuffed(_codes(_RUNS)[length << 4] + tail)


def _codes(table: tuple[bytes, bytes]) -> dict[int, str]:
    """Annex C: codes of one length follow each other, and the next length goes on from twice the next one."""
    codes: dict[int, str] = {}
    code, symbols = 0, iter(table[1])
    for length, count in enumerate(table[0], 1):
        for _ in range(count):
            codes[next(symbols)] = format(code, f"0{length}b")
            code += 1
        code <<= 1
    return codes


def _stuffed(bits: str) -> bytes:
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
