"""Setting the orientation in a JPEG's EXIF. Nothing else in the file changes.

EXIF is a TIFF inside an APP1 segment: https://www.cipa.jp/std/documents/e/DC-X008-Translation-2019-E.pdf, 4.5 and 4.6.
"""

import struct

_APP0, _APP1, _SOS = 0xFFE0, 0xFFE1, 0xFFDA
_MARKERS = 0xFF00
_LENGTH = 2  # bytes of a segment's length field, which it counts too
_EXIF = b"Exif\0\0"
_ORIENTATION, _SHORT = 0x0112, 3
_ENTRY, _POINTER = 12, 4  # bytes
_LARGEST_SEGMENT = 0xFFFF  # bytes, its length field included


class OrientationNotWritable(ValueError):
    """The metadata is broken, or has no room for an orientation."""


def set_orientation(jpeg: bytes, orientation: int) -> bytes:
    """The same file with this orientation, 1 to 8; its pixels are not touched. Raises OrientationNotWritable."""
    start, end = 2, 2  # where a new segment goes: after the start marker, or after the JFIF header
    for marker, begin, after in _segments(jpeg):
        if marker == _APP1 and jpeg[begin + 4 : begin + 4 + len(_EXIF)] == _EXIF:
            start, end = begin, after
            break
        if marker == _APP0:
            start = end = after
    tiff = jpeg[start + 4 + len(_EXIF) : end] if end > start else b"MM\0*" + struct.pack(">IHI", 8, 0, 0)
    try:
        payload = _EXIF + _tiff_with(bytearray(tiff), orientation)
    except struct.error as error:
        raise OrientationNotWritable("its EXIF is cut off") from error
    if len(payload) + 2 > _LARGEST_SEGMENT:
        raise OrientationNotWritable("its EXIF is full")
    return jpeg[:start] + struct.pack(">HH", _APP1, len(payload) + 2) + payload + jpeg[end:]


def _segments(jpeg: bytes) -> list[tuple[int, int, int]]:
    """Marker, begin and end of each segment before the pixels."""
    found, at = [], 2
    while at + 4 <= len(jpeg):
        marker, length = struct.unpack_from(">HH", jpeg, at)
        if marker < _MARKERS or marker == _SOS or length < _LENGTH:
            break
        found.append((marker, at, at + 2 + length))
        at += 2 + length
    return found


def _tiff_with(tiff: bytearray, orientation: int) -> bytes:
    order = {b"II": "<", b"MM": ">"}.get(bytes(tiff[:2]))
    if order is None:
        raise OrientationNotWritable("its EXIF is no TIFF")
    (directory,) = struct.unpack_from(order + "I", tiff, 4)
    (count,) = struct.unpack_from(order + "H", tiff, directory)
    value = struct.pack(order + "HHIHH", _ORIENTATION, _SHORT, 1, orientation, 0)
    first = directory + 2
    after = first + _ENTRY * count
    if after + _POINTER > len(tiff):
        raise OrientationNotWritable("its EXIF is cut off")
    entries = [bytes(tiff[at : at + _ENTRY]) for at in range(first, after, _ENTRY)]
    tags = [struct.unpack_from(order + "H", entry)[0] for entry in entries]
    if _ORIENTATION in tags:
        at = first + _ENTRY * tags.index(_ORIENTATION)
        tiff[at : at + _ENTRY] = value
        return bytes(tiff)
    # The directory has no room for another entry: a new directory at the end replaces it. What its entries point to
    # stays where it is.
    entries.append(value)
    entries.sort(key=lambda entry: int(struct.unpack_from(order + "H", entry)[0]))
    following = bytes(tiff[after : after + _POINTER])
    tiff += b"\0" * (len(tiff) % 2)
    struct.pack_into(order + "I", tiff, 4, len(tiff))
    return bytes(tiff) + struct.pack(order + "H", len(entries)) + b"".join(entries) + following
