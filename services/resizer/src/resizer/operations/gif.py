"""A GIF file without its metadata. The blocks of its frames are copied byte for byte.

https://www.w3.org/Graphics/GIF/spec-gif89a.txt, appendix B.
"""

import struct

from common.imaging.gif import APPLICATION, CONTROL, END, HEAD, IMAGE, data_blocks_begin, data_blocks_end, palette_bytes

_LOOP = (b"NETSCAPE2.0", b"ANIMEXTS1.0")  # applications whose extension holds the loop count


def without_metadata(data: bytes, width: int, height: int) -> bytes | None:
    """The file without comments, profiles, XMP and what follows its trailer.

    None for a file that is cut off, or whose screen is not width × height pixels.
    """
    try:
        if struct.unpack_from("<HH", data, 6) != (width, height):
            return None
        at = HEAD + palette_bytes(data[10])
        kept = [data[:at]]
        while (kind := data[at : at + 1]) != END:
            begin = at
            at = data_blocks_begin(data, at)
            after = data_blocks_end(data, at)
            if kind == IMAGE or _is_needed(data, begin, at):
                kept.append(data[begin:after])
            at = after
    except (struct.error, IndexError, ValueError):
        return None
    return b"".join((*kept, END))


def _is_needed(data: bytes, begin: int, blocks: int) -> bool:
    """Whether the extension says how frames are shown: a graphic control, or a loop count."""
    label = data[begin + 1]
    return label == CONTROL or (label == APPLICATION and data[blocks + 1 : blocks + 12] in _LOOP)
