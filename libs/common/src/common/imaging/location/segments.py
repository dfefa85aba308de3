"""The segments of a JPEG: https://www.w3.org/Graphics/JPEG/itu-t81.pdf, B.1."""

import re
from dataclasses import dataclass

from common.imaging.location.tiff import Broken

START = b"\xff\xd8\xff"
APP1, APP2, APP13 = 0xE1, 0xE2, 0xED
_SOI, _EOI, _SOS, _TEM, _COM = 0xD8, 0xD9, 0xDA, 0x01, 0xFE
_ALONE = frozenset({_TEM, *range(0xD0, 0xD8)})  # markers without a segment: TEM, and RST0 to RST7 among the pixels
_APP0, _APP8, _APP11, _APP12, _APP14, _APP15 = 0xE0, 0xE8, 0xEB, 0xEC, 0xEE, 0xEF
_LENGTH = 2  # bytes of the length field, which the length includes
_AMONG_PIXELS = re.compile(rb"\xff[\x02-\xcf\xd8-\xfe]")
_BEFORE_PIXELS = re.compile(rb"\xff[\x01-\xfe]")

# Segments that hold no location and are needed for display: the first bytes of their payload, by marker.
_HARMLESS = {
    _APP0: (b"JFIF\0",),
    APP2: (b"ICC_PROFILE\0", b"urn:iso:std:iso:ts:21496:-1\0"),  # the latter says how to use a gain map
    _APP8: (b"SPIFF\0",),
    _APP11: (b"JP",),  # JPEG XT
    _APP12: (b"Ducky",),
    _APP14: (b"Adobe",),
}
_JUMBF = b"jumb"  # the type of a JPEG XT box with C2PA's signed claims, which any change to the file makes invalid


@dataclass(frozen=True)
class Segment:
    """A segment: its marker, and where its payload begins and ends."""

    marker: int
    begin: int
    end: int

    @property
    def is_metadata(self) -> bool:
        """Whether it is APPn or a comment, and not needed to decode pixels."""
        return _APP0 <= self.marker <= _APP15 or self.marker == _COM

    def blank(self, out: bytearray) -> None:
        """Overwrite the payload with zeros."""
        out[self.begin : self.end] = bytes(self.end - self.begin)

    def is_harmless(self, out: bytearray) -> bool:
        """Whether it is of a kind that holds no location."""
        if self.marker == _APP11 and out[self.begin + 12 : self.begin + 16] == _JUMBF:
            return False
        return out.startswith(_HARMLESS.get(self.marker, ()), self.begin, self.end)


def segments(out: bytearray, start: int, *, strict: bool) -> tuple[int, list[Segment]]:
    """Where the picture that starts here ends, and its APPn segments.

    Bytes between two segments are skipped, as decoders do, and blanked. With `strict`, such bytes raise Broken, and so
    does a picture that is cut off.
    """
    at, found, among_pixels = start + 2, list[Segment](), False
    while True:
        match = (_AMONG_PIXELS if among_pixels else _BEFORE_PIXELS).search(out, at)
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
            # Decoders take a segment for empty whose length is less than that of its length field.
            length = max(_LENGTH, int.from_bytes(out[at : at + _LENGTH]))
            segment = Segment(marker, at + _LENGTH, at + length)
            if segment.end > len(out):
                _refuse(strict)
                if segment.is_metadata:
                    out[at:] = bytes(len(out) - at)
                return len(out), found
            if segment.is_metadata and marker != _COM:
                found.append(segment)
            among_pixels, at = marker == _SOS, segment.end


def _refuse(strict: bool) -> None:  # noqa: FBT001 - the only argument
    if strict:
        raise Broken("it is not a JPEG, or is cut off")


def without_metadata(jpeg: bytes) -> bytes:
    """The picture alone, its length unchanged: its metadata and what follows it become zeros."""
    out = bytearray(jpeg)
    end, found = segments(out, 0, strict=False)
    for segment in found:
        if not segment.is_harmless(out):
            segment.blank(out)
    return bytes(out[:end]).ljust(len(jpeg), b"\0")
