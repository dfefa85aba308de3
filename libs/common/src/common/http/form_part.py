"""One part of a multipart body, with the name of its field and of its file."""

from email.message import Message
from email.utils import collapse_rfc2231_value
from typing import Any

from aiohttp.hdrs import CONTENT_DISPOSITION
from aiohttp.multipart import BodyPartReader
from aiohttp.streams import StreamReader
from multidict import CIMultiDict, CIMultiDictProxy

# No file system has a file name with more. The standard library's parser takes time by the square of their number.
_MOST_SEMICOLONS = 300


class FormPart(BodyPartReader):
    """A part whose Content-Disposition is read by the standard library's parser.

    aiohttp's parser is not shown the header. It finds no name beside a file name with two semicolons, keeps for ever
    each header that it warns about, and cannot read on after a first field that is called `_charset_`.
    """

    def __init__(
        self,
        boundary: bytes,
        headers: CIMultiDictProxy[str],
        content: StreamReader,
        **options: Any,  # noqa: ANN401 - aiohttp's own
    ) -> None:
        others = CIMultiDict(headers)
        found = others.popall(CONTENT_DISPOSITION, [""])[0]
        if found.count(";") > _MOST_SEMICOLONS:
            raise ValueError(f"a Content-Disposition with more than {_MOST_SEMICOLONS} semicolons")
        super().__init__(boundary, CIMultiDictProxy(others), content, **options)
        self._disposition = Message()
        # What is not UTF-8 came as surrogates, which the parser fails at.
        self._disposition[CONTENT_DISPOSITION] = found.encode("utf-8", "surrogateescape").decode("utf-8", "replace")

    @property
    def name(self) -> str | None:
        """The name of the field."""
        return self._parameter("name")

    @property
    def filename(self) -> str | None:
        """The name of the file, also an empty one. None: the field holds text."""
        return self._parameter("filename")

    def _parameter(self, name: str) -> str | None:
        value = self._disposition.get_param(name, header=CONTENT_DISPOSITION)
        return None if value is None else collapse_rfc2231_value(value)
