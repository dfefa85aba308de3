"""One metadata block without the location, by the kind of block.

A function returns None where the block has to be removed as a whole.
"""

from functools import partial

from common.imaging.exif_orientations import UPRIGHT
from common.imaging.location import iptc, segments, tiff, xmp
from common.imaging.location.tiff import Broken

EXIF = b"Exif\0\0"
XMP = b"http://ns.adobe.com/xap/1.0/\0"
PHOTOSHOP = b"Photoshop 3.0\0"
_RDF = (b"<rdf:RDF", b"xmpmeta", b"xapmeta", b"<?xpacket")


def exif(block: bytes, orientation: int) -> bytes | None:
    """The TIFF of an EXIF block, its length unchanged. A broken one becomes a TIFF with the orientation alone."""
    try:
        return tiff.without_location(block, preview)
    except Broken:
        return tiff.only_orientation(orientation, len(block)) if orientation != UPRIGHT else None


def preview(picture: bytes) -> bytes:
    """A preview within metadata, its length unchanged. A JPEG loses its own metadata; anything else becomes zeros."""
    return segments.without_metadata(picture) if picture.startswith(segments.START) else bytes(len(picture))


def photoshop(resources: bytes) -> bytes | None:
    """Photoshop's image resources, their length unchanged."""
    try:
        return iptc.without_location(resources, _STRIPPERS)
    except Broken:
        return None


_STRIPPERS = iptc.Strippers(exif=lambda block: exif(block, UPRIGHT), xmp=xmp.without_location, jpeg=preview)


def profile(data: bytes, orientation: int) -> bytes | None:
    """A block whose kind only its first bytes tell."""
    for head, strip in (
        (EXIF, partial(exif, orientation=orientation)),
        (XMP, xmp.without_location),
        (PHOTOSHOP, photoshop),
    ):
        if data.startswith(head):
            stripped = strip(data[len(head) :])
            return None if stripped is None else head + stripped
    if data.startswith((b"II*\0", b"MM\0*")):
        return exif(data, orientation)
    if data.startswith(b"8BIM"):
        return photoshop(data)
    if data.startswith(b"\x1c"):
        try:
            return iptc.without_places(data)
        except Broken:
            return None
    return xmp.without_location(data) if is_xmp(data) else None


def is_xmp(text: bytes) -> bool:
    """Whether the text is XMP."""
    return any(mark in text for mark in _RDF)
