"""The blocks of a GIF file: the same pictures without what else it carries.

https://www.w3.org/Graphics/GIF/spec-gif89a.txt, appendix B.
"""

import struct

_HEAD = 13  # bytes of signature and screen
_DESCRIPTOR = 10  # bytes of an image's descriptor, its separator included
_IMAGE, _EXTENSION, _END = b",", b"!", b";"
_CONTROL, _APPLICATION = 0xF9, 0xFF
_LOOP = (b"NETSCAPE2.0", b"ANIMEXTS1.0")  # how often it is shown


def without_metadata(data: bytes, width: int, height: int) -> bytes | None:
    """The same frames, and no comment, profile, XMP or anything after the end.

    None for a file that breaks off, or whose screen is not width × height pixels.
    """
    try:
        if struct.unpack_from("<HH", data, 6) != (width, height):
            return None
        at = _HEAD + _table(data[10])
        kept = [data[:at]]
        while (kind := data[at : at + 1]) != _END:
            begin = at
            at = _blocks_from(data, at)
            after = _after_blocks(data, at)
            if kind == _IMAGE or _needed(data, begin, at):
                kept.append(data[begin:after])
            at = after
    except (struct.error, IndexError, ValueError):
        return None
    return b"".join((*kept, _END))


def _table(flags: int) -> int:
    """Bytes of the palette that the flags announce."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _blocks_from(data: bytes, at: int) -> int:
    """Where the chain of data blocks begins of what begins here. Raises IndexError, ValueError."""
    kind = data[at : at + 1]
    if kind == _IMAGE:
        return at + _DESCRIPTOR + _table(data[at + _DESCRIPTOR - 1]) + 1
    if kind == _EXTENSION:
        return at + 2
    raise ValueError("neither image nor extension")


def _after_blocks(data: bytes, at: int) -> int:
    """Where the chain of data blocks ends that begins here. Raises IndexError."""
    while length := data[at]:
        at += 1 + length
    return at + 1


def _needed(data: bytes, begin: int, blocks: int) -> bool:
    """Whether the extension says how frames are shown."""
    label = data[begin + 1]
    return label == _CONTROL or (label == _APPLICATION and data[blocks + 1 : blocks + 12] in _LOOP)
