"""The segments of a JPEG: https://www.w3.org/Graphics/JPEG/itu-t81.pdf, B.1."""

import re
from dataclasses import dataclass

from common.imaging.location.tiff import Broken

START = b"\xff\xd8\xff"
APP1, APP2, APP13 = 0xE1, 0xE2, 0xED
_SOI, _EOI, _SOS, _TEM, _COM = 0xD8, 0xD9, 0xDA, 0x01, 0xFE
_ALONE = frozenset({_TEM, *range(0xD0, 0xD8)})  # markers without a segment; the latter restart within pixels
_APP0, _APP8, _APP11, _APP12, _APP14, _APP15 = 0xE0, 0xE8, 0xEB, 0xEC, 0xEE, 0xEF
_LENGTH = 2  # bytes of a segment's length, which it counts too
_AMONG_PIXELS = re.compile(rb"\xff[\x02-\xcf\xd8-\xfe]")
_ELSEWHERE = re.compile(rb"\xff[\x01-\xfe]")

# Segments that hold no position and that somebody needs: by their marker, how they begin.
_HARMLESS = {
    _APP0: (b"JFIF\0",),
    APP2: (b"ICC_PROFILE\0", b"urn:iso:std:iso:ts:21496:-1\0"),  # the latter says how to use a gain map
    _APP8: (b"SPIFF\0",),
    _APP11: (b"JP",),  # JPEG XT
    _APP12: (b"Ducky",),
    _APP14: (b"Adobe",),
}
_STATEMENTS = b"jumb"  # in a box as of JPEG XT: C2PA's statements about a file, which no longer hold


@dataclass(frozen=True)
class Segment:
    """A segment: its marker, and where what follows its length begins and ends."""

    marker: int
    begin: int
    end: int

    @property
    def describes(self) -> bool:
        """Whether it holds metadata or a comment, and not what decodes pixels."""
        return _APP0 <= self.marker <= _APP15 or self.marker == _COM

    def blank(self, out: bytearray) -> None:
        """Write zeros over what it holds."""
        out[self.begin : self.end] = bytes(self.end - self.begin)

    def harmless(self, out: bytearray) -> bool:
        """Whether it is of a kind that holds no position."""
        if self.marker == _APP11 and out[self.begin + 12 : self.begin + 16] == _STATEMENTS:
            return False
        return out.startswith(_HARMLESS.get(self.marker, ()), self.begin, self.end)


def segments(out: bytearray, start: int, *, strict: bool) -> tuple[int, list[Segment]]:
    """Where the picture that starts here ends, and its APPn segments.

    As decoders do, it passes over what stands between two segments, and blanks it. Raises Broken for that, and for a
    picture that is cut off, when `strict`.
    """
    at, found, among_pixels = start + 2, list[Segment](), False
    while True:
        match = (_AMONG_PIXELS if among_pixels else _ELSEWHERE).search(out, at)
        marker_at = len(out) if match is None else match.start()
        if not among_pixels and out[at:marker_at].strip(b"\xff"):
            _refuse(strict)
            out[at:marker_at] = bytes(marker_at - at)
        if match is None:
            _refuse(strict)
            return len(out), found
        marker, at = out[marker_at + 1], match.end()
        if marker == _EOI:
            return at, found
        if marker == _SOI:
            _refuse(strict)
            return marker_at, found
        if marker not in _ALONE:
            # One that claims to be shorter than its length's own field is taken for empty by decoders.
            length = max(_LENGTH, int.from_bytes(out[at : at + _LENGTH]))
            segment = Segment(marker, at + _LENGTH, at + length)
            if segment.end > len(out):
                _refuse(strict)
                if segment.describes:
                    out[at:] = bytes(len(out) - at)
                return len(out), found
            if segment.describes and marker != _COM:
                found.append(segment)
            among_pixels, at = marker == _SOS, segment.end


def _refuse(strict: bool) -> None:  # noqa: FBT001 - the only thing it is told
    if strict:
        raise Broken("it is no JPEG, or cut off")


def without_metadata(jpeg: bytes) -> bytes:
    """The picture alone, as long as before, with zeros for its metadata and what follows it."""
    out = bytearray(jpeg)
    end, found = segments(out, 0, strict=False)
    for segment in found:
        if not segment.harmless(out):
            segment.blank(out)
    return bytes(out[:end]).ljust(len(jpeg), b"\0")
