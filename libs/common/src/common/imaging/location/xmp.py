"""XMP: RDF in XML. Properties are overwritten with spaces, so that the length does not change.

https://github.com/adobe/XMP-Toolkit-SDK/tree/main/docs, parts 1 and 3.
"""

import re
from xml.parsers import expat

from common.imaging.location.names import tells_location
from common.imaging.location.spans import Span, merged

_ATTRIBUTE = re.compile(rb"""\s+([^\s=]+)\s*=\s*("[^"]*"|'[^']*')""")
_NAME = re.compile(rb"<[^\s/>]+")
_TAG_END = re.compile(rb"\s*(/?)>")
_JPEG = "/9j/"  # how a JPEG begins in Base64


class _Doctype(Exception):
    """The packet has a DOCTYPE, which may declare entities. XMP needs none."""


class _Reader:
    """Finds the bytes of each property that tells the location, and of each embedded JPEG."""

    def __init__(self, packet: bytes) -> None:
        self.packet = packet
        self.spans: list[Span] = []
        # Begin and end of each start tag, and whether its element is blanked.
        self._open: list[tuple[int, int, bool]] = []
        self._text = ""
        self._parser = parser = expat.ParserCreate("UTF-8")
        parser.StartDoctypeDeclHandler = self._refuse
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters

    def read(self) -> None:
        self._parser.Parse(self.packet, True)

    def _refuse(self, *_: object) -> None:
        raise _Doctype

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        begin = self._parser.CurrentByteIndex
        end = begin + len(_expect(_NAME, self.packet, begin))
        # The parser calls this for well-formed tags alone.
        while found := _ATTRIBUTE.match(self.packet, end):
            own = found[1].decode()
            value = attributes.get(own, "")
            if not own.startswith("xmlns") and (tells_location(own) or value.lstrip().startswith(_JPEG)):
                self.spans.append(found.span())
            end = found.end()
        end += len(_expect(_TAG_END, self.packet, end))
        self._open.append((begin, end, tells_location(name)))
        self._text = ""

    def _characters(self, text: str) -> None:
        if len(self._text) < len(_JPEG):
            self._text = (self._text + text).lstrip()
            if self._text.startswith(_JPEG) and self._open:
                # An embedded JPEG, with metadata of its own.
                begin, end, _ = self._open[-1]
                self._open[-1] = begin, end, True

    def _end(self, _: str) -> None:
        begin, end, is_blanked = self._open.pop()
        self._text = _JPEG
        if not is_blanked:
            return
        if not self.packet.endswith(b"/>", begin, end):
            end = self.packet.index(b">", self._parser.CurrentByteIndex) + 1
        self.spans.append((begin, end))


def _expect(pattern: re.Pattern[bytes], packet: bytes, at: int) -> bytes:
    found = pattern.match(packet, at)
    if found is None:
        raise ValueError("a tag that cannot be parsed")
    return found[0]


def without_location(packet: bytes) -> bytes | None:
    """The packet without the location, its length unchanged, or None where it is not well-formed XML in UTF-8."""
    reader = _Reader(packet.rstrip(b"\0"))
    try:
        reader.read()
    except (expat.ExpatError, _Doctype, ValueError):
        return None
    blanked = bytearray(packet)
    for begin, end in merged(reader.spans):
        blanked[begin:end] = b" " * (end - begin)
    return bytes(blanked)
