"""GIF files written from their parts: any frames, palettes, disposals and offsets; and what they have to look like.

https://www.w3.org/Graphics/GIF/spec-gif89a.txt. The pixels are codes of a constant length: a clear code comes before
the decoder's table would make them longer.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

KEEP, BACKGROUND, PREVIOUS = 1, 2, 3

Palette = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Frame:
    """One frame: its box, and an index into its palette for each pixel. `delay` is in hundredths of a second."""

    left: int
    top: int
    width: int
    height: int
    indices: bytes
    palette: Palette | None = None
    transparent: int | None = None
    disposal: int = KEEP
    delay: int = 7
    interlaced: bool = False


def write(
    width: int,
    height: int,
    palette: Palette | None,
    frames: Sequence[Frame],
    *,
    loop: int | None = 0,
    extra: bytes = b"",
) -> bytes:
    """The file. `loop` is how often, 0 for ever; `extra` are blocks that go before the first frame."""
    data = b"GIF89a" + struct.pack("<HHBBB", width, height, _bits(palette), 0, 0) + _table(palette)
    if loop is not None:
        data += b"\x21\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<H", loop) + b"\0"
    return data + extra + b"".join(map(_frame, frames, [palette] * len(frames))) + b";"


def comment(text: bytes) -> bytes:
    """A block of text that is not shown."""
    return b"\x21\xfe" + _blocks(text)


def xmp(text: bytes) -> bytes:
    """Adobe's metadata, which is no chain of blocks: a trailer makes decoders that think so find its end."""
    return b"\x21\xff\x0bXMP DataXMP" + text + b"\x01" + bytes(range(255, -1, -1)) + b"\0"


def shown(width: int, height: int, palette: Palette | None, frames: Sequence[Frame]) -> list[bytes]:
    """What each frame looks like, as browsers have it: four bytes for each pixel, red, green, blue and alpha."""
    canvas = bytearray(4 * width * height)
    pictures = []
    for frame in frames:
        before = bytes(canvas)
        _draw(canvas, width, height, frame, frame.palette or palette or ())
        pictures.append(bytes(canvas))
        if frame.disposal == PREVIOUS:
            canvas[:] = before
        elif frame.disposal == BACKGROUND:
            for y in range(frame.top, min(height, frame.top + frame.height)):
                begin, end = (4 * (y * width + x) for x in (frame.left, min(width, frame.left + frame.width)))
                canvas[begin:end] = bytes(end - begin)
    return pictures


def _draw(canvas: bytearray, width: int, height: int, frame: Frame, palette: Palette) -> None:
    for y in range(frame.top, min(height, frame.top + frame.height)):
        for x in range(frame.left, min(width, frame.left + frame.width)):
            index = frame.indices[(y - frame.top) * frame.width + x - frame.left]
            if index != frame.transparent:
                at = 4 * (y * width + x)
                canvas[at : at + 4] = bytes((*palette[index], 255))


def _frame(frame: Frame, palette: Palette | None) -> bytes:
    colours = frame.palette or palette
    assert colours is not None
    flags = frame.disposal << 2 | (frame.transparent is not None)
    control = b"\x21\xf9\x04" + struct.pack("<BHBB", flags, frame.delay, frame.transparent or 0, 0)
    packed = _bits(frame.palette) | frame.interlaced << 6
    box = struct.pack("<HHHHB", frame.left, frame.top, frame.width, frame.height, packed)
    least = max(2, _depth(colours))
    return control + b"," + box + _table(frame.palette) + bytes([least]) + _blocks(_codes(_ordered(frame), least))


def _ordered(frame: Frame) -> bytes:
    if not frame.interlaced:
        return frame.indices
    rows = [y for start, step in ((0, 8), (4, 8), (2, 4), (1, 2)) for y in range(start, frame.height, step)]
    return b"".join(frame.indices[y * frame.width : (y + 1) * frame.width] for y in rows)


def _codes(indices: bytes, least: int) -> bytes:
    clear, length = 1 << least, least + 1
    bits, used, out = 0, 0, bytearray()
    for at, index in enumerate(indices):
        for code in (clear, index) if at % (clear - 2) == 0 else (index,):
            bits |= code << used
            used += length
        while used >= 8:
            out.append(bits & 255)
            bits >>= 8
            used -= 8
    bits |= (clear + 1) << used
    return bytes(out) + bits.to_bytes((used + length + 7) // 8, "little")


def _blocks(data: bytes) -> bytes:
    parts = [data[at : at + 255] for at in range(0, len(data), 255)]
    return b"".join(bytes([len(part)]) + part for part in parts) + b"\0"


def _depth(palette: Palette) -> int:
    return max(1, (len(palette) - 1).bit_length())


def _bits(palette: Palette | None) -> int:
    return 0 if palette is None else 0x80 | (_depth(palette) - 1)


def _table(palette: Palette | None) -> bytes:
    if palette is None:
        return b""
    return b"".join(map(bytes, palette)).ljust(3 << _depth(palette), b"\0")
