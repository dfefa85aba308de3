"""GIF: the blocks of a file, and its frames as browsers show them, on a screen that is empty at first.

https://www.w3.org/Graphics/GIF/spec-gif89a.txt, 17 to 26. What libvips' decoder does otherwise is measured with 8.18:
without a transparent colour in a frame, it uncovers the background colour and not what is transparent; and screens of
640 × 480 and other usual sizes, and those with a side above 2,048, it takes for a mistake and cuts them to the first
frame. Frames that show nothing, written in between, make it do as browsers do.
"""

import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise

import pyvips

from common.sandbox.protocol import Original

HEAD = 13  # bytes of signature and screen
IMAGE, EXTENSION, END = b",", b"!", b";"
CONTROL, APPLICATION = 0xF9, 0xFF
_DESCRIPTOR = 10  # bytes of an image's descriptor, its separator included

_KEEP, _BACKGROUND, _PREVIOUS = 1, 2, (3, 4)  # disposals; some writers have 4 for "previous"
_DISPOSAL = 0x1C  # its bits
_TRANSPARENT = 0x01  # the bit that says so
_NO_PIXEL = b"\x02\x02\x44\x01\0"  # codes of 3 bits: clear, the index 0, which is transparent, end


_Box = tuple[int, int, int, int]  # left, top, right and bottom on the screen


@dataclass(frozen=True)
class _Frame:
    """Where its bytes end, its control's flags, and where they are; both are 0 without a control."""

    box: _Box
    end: int
    flags: int
    flags_at: int

    @property
    def disposal(self) -> int:
        return (self.flags & _DISPOSAL) >> 2

    @property
    def transparent(self) -> bool:
        return bool(self.flags & _TRANSPARENT)

    def covers(self, box: _Box) -> bool:
        left, top, right, bottom = self.box
        return left <= box[0] and top <= box[1] and right >= box[2] and bottom >= box[3]

    def uncovers_background(self, following: "_Frame", screen: _Box) -> bool:
        """Whether libvips' decoder shows its background colour when the following frame is drawn."""
        if self.disposal != _BACKGROUND or self.transparent:
            return False
        left, top, right, bottom = self.box
        seen = left, top, min(right, screen[2]), min(bottom, screen[3])
        return following.transparent or not following.covers(seen)


def load(data: Original, *, every: bool, **options: object) -> pyvips.Image:
    """The first frame, or every one, below each other. Raises pyvips.Error."""
    prepared, empty = _prepare(data)
    if prepared is not None:
        frames = pyvips.Image.gifload_buffer(prepared, **options).get("n-pages")
        if kept := [page for page in range(frames) if page not in empty]:
            return _without_empty(prepared, kept, every=every, **options)
    source = pyvips.Source.new_from_memory(data)
    return pyvips.Operation.call("gifload_source", source, n=-1 if every else 1, **options)


def _without_empty(data: bytes, kept: list[int], *, every: bool, **options: object) -> pyvips.Image:
    shown = kept if every else kept[:1]
    # From a buffer, of which libvips is given a copy: a source reads bytes that nothing here keeps.
    strip = pyvips.Image.gifload_buffer(data, n=shown[-1] + 1, **options)
    height, delays = strip.height // (shown[-1] + 1), strip.get("delay")
    pictures = [strip.crop(0, page * height, strip.width, height) for page in shown]
    image = pyvips.Image.arrayjoin(pictures, across=1).copy()
    image.set_type(pyvips.GValue.gint_type, "n-pages", len(kept))
    image.set_type(pyvips.GValue.array_int_type, "delay", [delays[page] for page in kept])
    if len(shown) > 1:
        image.set_type(pyvips.GValue.gint_type, "page-height", height)
    else:
        image.remove("page-height")
    return image


def palette_bytes(flags: int) -> int:
    """Bytes of the palette that the flags announce."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def data_blocks_begin(data: Original, at: int) -> int:
    """Where the chain of data blocks begins of what begins here. Raises IndexError, ValueError."""
    kind = data[at : at + 1]
    if kind == IMAGE:
        return at + _DESCRIPTOR + palette_bytes(data[at + _DESCRIPTOR - 1]) + 1
    if kind == EXTENSION:
        return at + 2
    raise ValueError("neither image nor extension")


def data_blocks_end(data: Original, at: int) -> int:
    """Where the chain of data blocks ends that begins here. Raises IndexError."""
    while length := data[at]:
        at += 1 + length
    return at + 1


def _prepare(data: Original) -> tuple[bytes | None, frozenset[int]]:
    """The file as libvips' decoder shows it rightly, and which of its frames were put in and show nothing; or None."""
    frames = list(_frames(data))
    if not frames:
        return None, frozenset()
    width, height = struct.unpack_from("<HH", data, 6)
    screen = 0, 0, max(width, frames[0].box[2]), max(height, frames[0].box[3])  # browsers enlarge it for the first
    begin = HEAD + palette_bytes(data[10])
    out, empty, page = [data[:begin]], [], 0
    if not frames[0].covers(screen) or frames[0].disposal in _PREVIOUS:
        out.append(_empty_frame(screen, _KEEP))
        empty.append(page)
        page += 1
    for frame, following in pairwise(frames):
        page += 1
        if frame.uncovers_background(following, screen):
            out += data[begin : frame.flags_at], bytes([frame.flags & ~_DISPOSAL | _KEEP << 2])
            out += data[frame.flags_at + 1 : frame.end], _empty_frame(frame.box, _BACKGROUND)
            empty.append(page)
            page += 1
            begin = frame.end
    return b"".join((*out, data[begin:])) if empty else None, frozenset(empty)


def _empty_frame(box: _Box, disposal: int) -> bytes:
    """A frame that shows nothing."""
    left, top, right, bottom = box
    control = struct.pack("<BBBBHBB", 0x21, CONTROL, 4, disposal << 2 | _TRANSPARENT, 0, 0, 0)
    return control + IMAGE + struct.pack("<HHHHB", left, top, right - left, bottom - top, 0) + _NO_PIXEL


def _frames(data: Original) -> Iterator[_Frame]:
    """The frames up to where the file ends, breaks off or makes no sense."""
    with suppress(struct.error, IndexError, ValueError):
        at = HEAD + palette_bytes(data[10])
        flags, flags_at = 0, 0
        while data[at : at + 1] != END:
            begin, at = at, data_blocks_begin(data, at)
            if data[begin : begin + 1] == EXTENSION:
                if data[begin + 1] == CONTROL:
                    flags_at = begin + 3
                    # Of several, the last one counts, but what was once said to be transparent stays so.
                    flags = flags & _TRANSPARENT | data[flags_at]
                at = data_blocks_end(data, at)
                continue
            left, top, width, height = struct.unpack_from("<HHHH", data, begin + 1)
            box = left, top, left + width, top + height
            try:
                at = data_blocks_end(data, at)
            except IndexError:
                at = len(data)
            yield _Frame(box, at, flags, flags_at)
            flags, flags_at = 0, 0
