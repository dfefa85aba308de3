"""Pictures that say where they were taken, in every place that a JPEG, PNG or GIF has for it."""

import hashlib
import struct
import zlib
from collections.abc import Iterator
from typing import Literal

from tests.support.exiftool import written

ByteOrder = Literal["<", ">"]

SHORT, LONG, RATIONAL, ASCII, UNDEFINED = 3, 4, 5, 2, 7
_SIZES = {SHORT: 2, LONG: 4, RATIONAL: 8, ASCII: 1, UNDEFINED: 1}
PLACE = "Gspaltenhornhuette"  # not to be found anywhere else

# What exiftool writes: what shall stay first, then the location.
OTHERS = (
    "-EXIF:Make=Maker",
    "-EXIF:Model=Camera of the tests",
    "-EXIF:DateTimeOriginal=2024:01:02 03:04:05",
    "-EXIF:Copyright=somebody",
    "-EXIF:FNumber=2.8",
    "-EXIF:LensModel=a lens",
    "-XMP-dc:Title=Title & <more>",
    "-XMP-dc:Subject=ice",
    "-XMP-dc:Subject=rock",
    "-XMP-dc:Rights=somebody",
    "-XMP-xmp:Rating=3",
    "-XMP-tiff:Make=Maker",
    "-IPTC:Caption-Abstract=Caption",
    "-IPTC:By-line=somebody",
    "-IPTC:Keywords=ice",
    "-Photoshop:IPTCDigest=new",
    "-Photoshop:XResolution=72",
)
LOCATION = (
    "-EXIF:GPSLatitude=46.5",
    "-EXIF:GPSLatitudeRef=N",
    "-EXIF:GPSLongitude=7.75",
    "-EXIF:GPSLongitudeRef=E",
    "-EXIF:GPSAltitude=2455",
    "-EXIF:GPSDateStamp=2024:01:02",
    f"-EXIF:GPSAreaInformation={PLACE}",
    "-XMP-exif:GPSLatitude=46.5",
    "-XMP-exif:GPSLongitude=7.75",
    f"-XMP-photoshop:City={PLACE}",
    "-XMP-photoshop:Country=Switzerland",
    f"-XMP-iptcCore:Location={PLACE}",
    f"-XMP-iptcExt:LocationCreatedCity={PLACE}",
    f"-XMP-iptcExt:LocationShownSublocation={PLACE}",
    f"-IPTC:City={PLACE}",
    f"-IPTC:Sub-location={PLACE}",
    "-IPTC:Province-State=Bern",
    "-IPTC:Country-PrimaryLocationName=Switzerland",
    "-IPTC:Country-PrimaryLocationCode=CHE",
    "-IPTC:ContentLocationName=Alps",
)


def located(picture: bytes, order: ByteOrder = ">", orientation: int = 1) -> bytes:
    """The picture with all of it, written by exiftool."""
    ordered = f"-ExifByteOrder={'II' if order == '<' else 'MM'}"
    return written(picture, [ordered, *OTHERS, *LOCATION, f"-EXIF:Orientation#={orientation}"])


def tiff(order: ByteOrder = ">", orientation: int = 6) -> bytes:
    """An EXIF block with a GPS directory, a maker note and an Exif directory; each value where a table says."""
    latitude = struct.pack(order + "6I", 46, 1, 30, 1, 0, 1)
    place = b"ASCII\0\0\0" + PLACE.encode()
    gps = [(1, ASCII, b"N\0"), (2, RATIONAL, latitude), (3, ASCII, b"E\0"), (4, RATIONAL, latitude)]
    gps.append((0x1C, UNDEFINED, place))
    exif = [(0x9003, ASCII, b"2024:01:02 03:04:05\0"), (0x927C, UNDEFINED, b"Maker\0" + PLACE.encode())]
    first = [(0x010F, ASCII, b"Maker\0"), (0x0112, SHORT, struct.pack(order + "H", orientation))]
    exif_at = 8 + _length([*first, (0x8769, LONG, bytes(4)), (0x8825, LONG, bytes(4))])
    gps_at = exif_at + _length(exif)
    first += [(0x8769, LONG, struct.pack(order + "I", exif_at)), (0x8825, LONG, struct.pack(order + "I", gps_at))]
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    return head + _directory(first, 8, order) + _directory(exif, exif_at, order) + _directory(gps, gps_at, order)


def _directory(entries: list[tuple[int, int, bytes]], at: int, order: ByteOrder) -> bytes:
    body, values = struct.pack(order + "H", len(entries)), b""
    values_at = at + 2 + 12 * len(entries) + 4
    for tag, kind, value in entries:
        body += struct.pack(order + "HHI", tag, kind, len(value) // _SIZES[kind])
        if len(value) <= 4:
            body += value.ljust(4, b"\0")
        else:
            body += struct.pack(order + "I", values_at + len(values))
            values += value + bytes(len(value) % 2)
    return body + bytes(4) + values


def _length(entries: list[tuple[int, int, bytes]]) -> int:
    return len(_directory(entries, 0, ">"))


def packet(properties: str, *, description: str = "Title") -> bytes:
    """An XMP packet with these attributes."""
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
        ' xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:xmpNote="http://ns.adobe.com/xmp/note/"'
        f' xmlns:dc="http://purl.org/dc/elements/1.1/" {properties}>'
        f'<dc:title><rdf:Alt><rdf:li xml:lang="x-default">{description}</rdf:li></rdf:Alt></dc:title>'
        '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


IN_XMP = 'exif:GPSLatitude="46,30.0N" exif:GPSLongitude="7,45.0E"'


def segment(marker: int, payload: bytes) -> bytes:
    """A JPEG's segment."""
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def with_segments(jpeg: bytes, *segments: bytes) -> bytes:
    """The JPEG with these first of all, and none of its own EXIF."""
    length = int.from_bytes(jpeg[4:6])
    rest = jpeg[4 + length :] if jpeg[2:4] == b"\xff\xe0" else jpeg[2:]
    kept = jpeg[2 : 4 + length] if jpeg[2:4] == b"\xff\xe0" else b""
    return jpeg[:2] + kept + b"".join(segments) + rest


def exif_segment(block: bytes) -> bytes:
    return segment(0xE1, b"Exif\0\0" + block)


def extended_xmp(pieces: int = 3) -> list[bytes]:
    """The segments of a packet whose extension, in so many pieces, holds the location."""
    extension = packet(IN_XMP, description="the extension " * 40)
    digest = hashlib.md5(extension, usedforsecurity=False).hexdigest().upper()
    main = packet(f'xmpNote:HasExtendedXMP="{digest}"')
    size = -(-len(extension) // pieces)
    head = b"http://ns.adobe.com/xmp/extension/\0" + digest.encode()
    parts = [
        segment(0xE1, head + struct.pack(">II", len(extension), at) + extension[at : at + size])
        for at in range(0, len(extension), size)
    ]
    return [segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + main), *parts]


def with_second_picture(first: bytes, second: bytes) -> bytes:
    """A JPEG with another one behind it, and the index that says where: CIPA DC-007, as cameras and phones write it."""

    def index(first_length: int, second_at: int) -> bytes:
        entries = struct.pack(">IIIHH", 0x030000, first_length, 0, 0, 0)
        entries += struct.pack(">IIIHH", 0x000000, len(second), second_at, 0, 0)
        directory = [(0xB000, UNDEFINED, b"0100"), (0xB001, LONG, struct.pack(">I", 2)), (0xB002, UNDEFINED, entries)]
        return segment(0xE2, b"MPF\0MM\0*" + struct.pack(">I", 8) + _directory(directory, 8, ">"))

    length = len(first) + len(index(0, 0))
    at = first.index(b"\xff\xdb")  # behind all metadata
    return first[:at] + index(length, length - at - 8) + first[at:] + second


def chunk(kind: bytes, data: bytes) -> bytes:
    """A PNG's chunk."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def with_chunks(png: bytes, *chunks: bytes) -> bytes:
    """The PNG with these behind its header."""
    return png[:33] + b"".join(chunks) + png[33:]


def raw_profile(name: str, block: bytes) -> bytes:
    """A block as ImageMagick writes it into a text."""
    digits = block.hex()
    lines = "\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    return f"\n{name}\n{len(block):8}\n{lines}\n".encode()


def texts(keyword: str, text: bytes) -> Iterator[bytes]:
    """Every chunk that holds a text under this keyword."""
    name = keyword.encode() + b"\0"
    yield chunk(b"tEXt", name + text)
    yield chunk(b"zTXt", name + b"\0" + zlib.compress(text))
    yield chunk(b"iTXt", name + b"\0\0\0\0" + text)
    yield chunk(b"iTXt", name + b"\1\0\0\0" + zlib.compress(text))
