"""Multipart bodies for hypothesis, and how they arrive: in pieces, cut wherever hypothesis says."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from aiohttp import web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.streams import StreamReader
from aiohttp.test_utils import make_mocked_request
from hypothesis import strategies as st

BOUNDARY_CHARACTERS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'()+_,-./:=?"
LIMIT = 2**17


class PiecewiseStream(StreamReader):
    """The stream of a body of which each piece arrives when all before it has been read."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(BaseProtocol(loop), LIMIT, loop=loop)
        self._pieces = iter(pieces)

    async def _wait(self, _: str) -> None:
        piece = next(self._pieces, None)
        if piece is None:
            self.feed_eof()
        else:
            self.feed_data(piece)


def request_with(pieces: Iterable[bytes], boundary: str) -> web.Request:
    """A request whose multipart body arrives in these pieces."""
    headers = {"Content-Type": f'multipart/form-data; boundary="{boundary}"'}
    return make_mocked_request("POST", "/", headers=headers, payload=PiecewiseStream(pieces))


def cut(body: bytes, places: Iterable[int]) -> list[bytes]:
    """The body in pieces; a place beyond its end counts on from its beginning."""
    edges = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    return [body[start:end] for start, end in pairwise(edges)]


@dataclass(frozen=True)
class Part:
    """One part as it is sent: the header Content-Disposition, other headers, and the content."""

    disposition: str
    content: bytes
    others: tuple[str, ...] = ()


def part(boundary: str, sent: Part) -> bytes:
    """The part with the boundary before it."""
    headers = "\r\n".join([f"Content-Disposition: {sent.disposition}", *sent.others])
    return f"--{boundary}\r\n{headers}\r\n\r\n".encode() + sent.content + b"\r\n"


def body_of(boundary: str, parts: Sequence[Part]) -> bytes:
    """The whole body."""
    return b"".join(part(boundary, one) for one in parts) + f"--{boundary}--\r\n".encode()


def places() -> st.SearchStrategy[Sequence[int]]:
    """Where a body is cut: between all of its bytes, or at some places."""
    return st.just(range(5000)) | st.lists(st.integers(0, 4999), max_size=8)


def boundaries() -> st.SearchStrategy[str]:
    """Boundaries by RFC 2046."""
    return st.text(BOUNDARY_CHARACTERS, min_size=1, max_size=70)


def contents(boundary: str) -> st.SearchStrategy[bytes]:
    """Contents that have everything of a boundary but the boundary itself."""
    near = [b"\r\n", b"\r", b"\n", b"-", b"--", b"\r\n--", boundary.encode(), b"\r\n--" + boundary.encode()[:-1], b'"']
    fragments = st.sampled_from(near) | st.binary(max_size=12)
    return st.lists(fragments, max_size=10).map(b"".join).filter(lambda content: not _has(boundary, content))


def _has(boundary: str, content: bytes) -> bool:
    return f"\r\n--{boundary}".encode() in b"\r\n" + content


def names() -> st.SearchStrategy[str]:
    """Names of fields and files as browsers send them: a quotation mark is percent-encoded, all else is not."""
    readable = st.characters(exclude_categories=("Cs", "Cc"))
    odd = st.sampled_from([";", "; filename=", "=", "'", "%", "%22", "é", "☃", " ", "*", "../", "UTF-8''", "file"])
    return st.lists(odd | readable, max_size=8).map("".join).map(lambda name: name.replace('"', "%22"))


def fields(boundary: str) -> st.SearchStrategy[Part]:
    """Parts that are no file."""
    named = names().filter(lambda name: not name.endswith("\\") and name != "file")
    return st.builds(lambda name, content: Part(f'form-data; name="{name}"', content), named, contents(boundary))


def files(boundary: str) -> st.SearchStrategy[Part]:
    """The part that holds the upload."""
    others = st.lists(
        st.sampled_from(["Content-Type: image/jpeg", "Content-Length: 3", "Content-Transfer-Encoding: binary", "X:"]),
        unique=True,
    )
    return st.builds(
        lambda name, content, headers: Part(f'form-data; name="file"; filename="{name}"', content, tuple(headers)),
        names(),
        contents(boundary).filter(bool),
        others,
    )
