"""JPEG without the location. No byte moves, so that offsets stay valid, those to further pictures (MPF) included.

XMP part 3, 1.1.3; CIPA DC-007 (MPF), 5.
"""

from common.imaging.exif_orientations import UPRIGHT
from common.imaging.location import blocks, extended, tiff, xmp
from common.imaging.location.segments import APP1, APP2, APP13, START, Segment, segments
from common.imaging.location.tiff import Broken

_MPF = b"MPF\0"


def without_location(data: bytes, orientation: int) -> bytes:
    """The file without the location. Broken EXIF is replaced by `orientation`, which is what the decoder read.

    Further JPEGs after the picture stay, and lose the location. Anything else after it is cut off.
    """
    out = bytearray(data)
    end, found = segments(out, 0, strict=False)
    _strip(out, found, orientation)
    while (following := out.find(START, end)) >= 0:
        try:
            after, found = segments(out, following, strict=True)
        except Broken:
            break
        out[end:following] = bytes(following - end)
        _strip(out, found, UPRIGHT)
        end = after
    return bytes(out[:end])


def _strip(out: bytearray, found: list[Segment], orientation: int) -> None:
    packets, parts, resources = list[Segment](), list[Segment](), list[Segment]()
    for segment in found:
        payload = bytes(out[segment.begin : segment.end])
        if segment.marker == APP1 and payload.startswith(blocks.EXIF):
            _replace(out, segment, blocks.EXIF, blocks.exif(payload[len(blocks.EXIF) :], orientation))
        elif segment.marker == APP1 and payload.startswith(blocks.XMP):
            packets.append(segment)
        elif segment.marker == APP1 and payload.startswith(extended.HEADER):
            parts.append(segment)
        elif segment.marker == APP2 and payload.startswith(_MPF):
            _replace(out, segment, _MPF, _index(payload[len(_MPF) :]))
        elif segment.marker == APP13 and payload.startswith(blocks.PHOTOSHOP):
            resources.append(segment)
        elif not segment.is_harmless(out):
            segment.blank(out)
    for segment in packets:
        packet = bytes(out[segment.begin + len(blocks.XMP) : segment.end])
        _replace(out, segment, blocks.XMP, xmp.without_location(packet))
    extended.strip(out, parts, packets)
    _strip_resources(out, resources)


def _strip_resources(out: bytearray, found: list[Segment]) -> None:
    """Strip Photoshop's resources. One list of them may be split over several segments, at any byte."""
    skip = len(blocks.PHOTOSHOP)
    stripped = blocks.photoshop(b"".join(out[segment.begin + skip : segment.end] for segment in found))
    at = 0
    for segment in found:
        length = segment.end - segment.begin - skip
        _replace(out, segment, blocks.PHOTOSHOP, None if stripped is None else stripped[at : at + length])
        at += length


def _index(block: bytes) -> bytes | None:
    """The MPF index, which lists the file's pictures, without the location."""
    try:
        return tiff.without_location(block, blocks.preview)
    except Broken:
        return None


def _replace(out: bytearray, segment: Segment, head: bytes, stripped: bytes | None) -> None:
    if stripped is None:
        segment.blank(out)
    else:
        out[segment.begin : segment.end] = head + stripped
