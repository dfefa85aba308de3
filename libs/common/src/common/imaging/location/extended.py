"""Extended XMP: a packet that is too large for one JPEG segment is split over several, each marked with its digest.

https://github.com/adobe/XMP-Toolkit-SDK/blob/main/docs/XMPSpecificationPart3.pdf, 1.1.3.1.
"""

import hashlib
import re
import struct
from collections import defaultdict

from common.imaging.location import xmp
from common.imaging.location.segments import Segment

HEADER = b"http://ns.adobe.com/xmp/extension/\0"
_DIGEST = re.compile(rb"[0-9A-Fa-f]{32}")
_PLACE = struct.Struct(">II")  # the packet's length, and the offset of the segment's part in it
# Offsets in a segment: header, digest, _PLACE, part.
_PLACE_AT = len(HEADER) + 32
_PART_AT = _PLACE_AT + _PLACE.size


def strip(out: bytearray, parts: list[Segment], packets: list[Segment]) -> None:
    """Blank the location in the extended XMP, in place.

    `parts` are the segments that hold it. `packets` are the segments of the main XMP, which names its digest.
    """
    by_digest: dict[bytes, list[Segment]] = defaultdict(list)
    for segment in parts:
        by_digest[bytes(out[segment.begin + len(HEADER) : segment.begin + _PLACE_AT])].append(segment)
    for digest, found in by_digest.items():
        whole = _joined(out, found) if _DIGEST.fullmatch(digest) else None
        stripped = None if whole is None else xmp.without_location(whole)
        if stripped is None:
            for segment in found:
                segment.blank(out)
        elif stripped != whole:
            _write(out, found, stripped, digest, packets)


def _joined(out: bytearray, found: list[Segment]) -> bytes | None:
    """The joined packet, or None where a part is missing or repeated."""
    if any(segment.end - segment.begin < _PART_AT for segment in found):
        return None
    whole, lengths = bytearray(), set()
    for segment in sorted(found, key=lambda segment: _place(out, segment)[1]):
        length, offset = _place(out, segment)
        lengths.add(length)
        if offset != len(whole):
            return None
        whole += out[segment.begin + _PART_AT : segment.end]
    return bytes(whole) if lengths == {len(whole)} else None


def _write(out: bytearray, found: list[Segment], stripped: bytes, digest: bytes, packets: list[Segment]) -> None:
    new = hashlib.md5(stripped, usedforsecurity=False).hexdigest().upper().encode()
    for segment in found:
        _, offset = _place(out, segment)
        begin = segment.begin + _PART_AT
        out[segment.begin + len(HEADER) : segment.begin + _PLACE_AT] = new
        out[begin : segment.end] = stripped[offset : offset + segment.end - begin]
    for packet in packets:
        out[packet.begin : packet.end] = out[packet.begin : packet.end].replace(digest, new)


def _place(out: bytearray, segment: Segment) -> tuple[int, int]:
    length, offset = _PLACE.unpack_from(out, segment.begin + _PLACE_AT)
    return length, offset
