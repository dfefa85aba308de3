"""IPTC's place names, and the Photoshop resources that hold them. Neither changes its length.

https://www.iptc.org/std/IIM/4.2/specification/IIMV4.2.pdf, 1.5 and 2;
https://www.adobe.com/devnet-apps/photoshop/fileformatashtml/, Image Resource Blocks.
"""

import hashlib
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass

from common.imaging.location.tiff import Broken

_MARKER = 0x1C
_HEAD = 5  # bytes of a data set before its value
_EXTENDED = 0x8000
_MOST_LENGTH_BYTES = 4
_APPLICATION = 2  # the record that describes the picture
# Content location code and name, city, sublocation, province or state, country code and name.
_PLACES = frozenset({26, 27, 90, 92, 95, 100, 101})

_SIGNATURE = re.compile(rb"8BIM|PHUT|AgHg|DCSR|MeSa")
_IPTC, _DIGEST = 0x0404, 0x0425
_EXIF, _EXIF_3, _XMP = 0x0422, 0x0423, 0x0424
_THUMBNAILS, _THUMBNAIL_HEADER = (0x0409, 0x040C), 28


def without_places(iim: bytes) -> bytes:
    """The data sets without those of places, padded with zeros to the same length. Raises Broken."""
    at, kept = 0, []
    while at < len(iim) and iim[at] == _MARKER:
        end = _end_of(iim, at)
        if not (iim[at + 1] == _APPLICATION and iim[at + 2] in _PLACES):
            kept.append(iim[at:end])
        at = end
    if iim[at:].strip(b"\0"):
        raise Broken("it is not IPTC")
    return b"".join(kept).ljust(len(iim), b"\0")


def _end_of(iim: bytes, at: int) -> int:
    if at + _HEAD > len(iim):
        raise Broken("a data set is cut off")
    length = int.from_bytes(iim[at + 3 : at + _HEAD])
    begin = at + _HEAD
    if length & _EXTENDED:
        digits = length & ~_EXTENDED
        if digits > _MOST_LENGTH_BYTES:
            raise Broken("a data set is too long")
        length = int.from_bytes(iim[begin : begin + digits])
        begin += digits
    if begin + length > len(iim):
        raise Broken("a data set is cut off")
    return begin + length


@dataclass(frozen=True)
class Strippers:
    """Remove the location from the other kinds of blocks within resources. None: the block has to be removed."""

    exif: Callable[[bytes], bytes | None]
    xmp: Callable[[bytes], bytes | None]
    jpeg: Callable[[bytes], bytes]


def without_location(resources: bytes, strippers: Strippers) -> bytes:
    """The Photoshop resources without the location, their length unchanged. Raises Broken."""
    out, at = bytearray(resources), 0
    digests, iptc = [], None
    while at < len(resources):
        if resources[at] == 0 and not resources[at:].strip(b"\0"):
            break  # padding
        if not _SIGNATURE.match(resources, at) or at + 12 > len(resources):
            raise Broken("it is not a resource")
        (kind,) = struct.unpack_from(">H", resources, at + 4)
        begin = at + 6 + _even(1 + resources[at + 6])
        if begin + 4 > len(resources):
            raise Broken("a resource is cut off")
        (size,) = struct.unpack_from(">I", resources, begin)
        begin += 4
        end = begin + size
        if end > len(resources):
            raise Broken("a resource is cut off")
        out[begin:end] = stripped = _resource(kind, resources[begin:end], strippers)
        if kind == _IPTC:
            iptc = stripped
        if kind == _DIGEST and size == hashlib.md5(usedforsecurity=False).digest_size:
            digests.append((begin, end))
        at = end + size % 2
    if out != resources and iptc is not None:
        # Where the digest does not match, readers take the record for newer than the XMP.
        for begin, end in digests:
            out[begin:end] = hashlib.md5(iptc, usedforsecurity=False).digest()
    return bytes(out)


def _resource(kind: int, data: bytes, strippers: Strippers) -> bytes:
    zeros = bytes(len(data))
    if kind == _IPTC:
        try:
            return without_places(data)
        except Broken:
            return zeros
    if kind in (_EXIF, _EXIF_3):
        return strippers.exif(data) or zeros
    if kind == _XMP:
        return strippers.xmp(data) or zeros
    if kind in _THUMBNAILS:
        return data[:_THUMBNAIL_HEADER] + strippers.jpeg(data[_THUMBNAIL_HEADER:])
    return data


def _even(number: int) -> int:
    return number + number % 2
