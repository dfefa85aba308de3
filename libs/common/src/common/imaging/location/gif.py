"""GIF without the location. Blocks with pixels stay byte for byte.

https://www.w3.org/Graphics/GIF/spec-gif89a.txt, 17 to 26; XMP part 3, 1.1.2.
"""

from common.imaging.location import xmp

_HEADER, _DESCRIPTOR = 13, 10  # bytes
_TABLE, _TABLE_SIZE = 0x80, 0x07  # bits of the flags: whether a colour table follows, and how large it is
_EXTENSION, _IMAGE, _TRAILER, _APPLICATION = 0x21, 0x2C, 0x3B, 0xFF
_NAME = 11  # bytes of an application's name and code
_XMP = b"XMP DataXMP"
_HARMLESS = (b"NETSCAPE2.0", b"ANIMEXTS1.0", b"ICCRGBG1012")
# The trailer of an XMP packet. A reader that takes the text of the packet for block lengths finds the end in it.
_MAGIC = b"\x01" + bytes(range(255, -1, -1)) + b"\0"


def without_location(data: bytes, _orientation: int) -> bytes:
    """The file without the location. It ends at the trailer, or before the first byte that begins no block."""
    at = _HEADER + _table(data, 10)
    out = [data[:at]]
    while at < len(data):
        if data[at] == _IMAGE:
            end = _end_of_blocks(data, at + _DESCRIPTOR + _table(data, at + 9) + 1)
            out.append(data[at:end])
        elif data[at] == _EXTENSION:
            end = _end_of_blocks(data, at + 2)
            out.append(_extension(data[at:end]))
        elif data[at] == 0:
            end = at + 1  # some writers end a list of sub-blocks twice
            out.append(b"\0")
        else:
            out.append(data[at : at + 1] if data[at] == _TRAILER else b"")
            break
        at = end
    return b"".join(out)


def _extension(block: bytes) -> bytes:
    """The extension without the location; empty for one that is removed."""
    if len(block) < 3 or block[-1] != 0:  # noqa: PLR2004 - its introducer, label and end
        return b""  # cut off
    name = block[3 : 3 + _NAME]
    if block[1] != _APPLICATION or name in _HARMLESS:
        return block
    if name != _XMP or not block.endswith(_MAGIC):
        return b""
    begin = 3 + _NAME
    stripped = xmp.without_location(block[begin : -len(_MAGIC)])
    return b"" if stripped is None else block[:begin] + stripped + _MAGIC


def _table(data: bytes, flags_at: int) -> int:
    """The size of the colour table that the flags at this offset announce, in bytes."""
    flags = data[flags_at] if flags_at < len(data) else 0
    return 3 << ((flags & _TABLE_SIZE) + 1) if flags & _TABLE else 0


def _end_of_blocks(data: bytes, at: int) -> int:
    """The offset after the empty sub-block that ends a list, or the file's end."""
    while at < len(data) and data[at]:
        at += 1 + data[at]
    return min(at + 1, len(data))
