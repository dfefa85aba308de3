"""The messages of a decoding process, as the service reads them."""

import asyncio
import os
from functools import cache
from typing import Any, Self, TypeVar

from pydantic import TypeAdapter

from common.sandbox.protocol import LENGTH, MAX_HEAD

Form = TypeVar("Form")


def read_form(form: type[Form], answer: str | bytes) -> Form:
    """The answer's JSON, which has this form. Raises ValueError where it has not."""
    read: Form = _reader(form).validate_json(answer)  # type: ignore[arg-type] # for mypy, types are not Hashable
    return read


@cache
def _reader(form: type) -> TypeAdapter[Any]:
    return TypeAdapter(form)


class Replies:
    """The service's end of the pipe that a process answers through.

    It is no pipe of asyncio's subprocesses: for asyncio a process has ended only once its pipes have, and one that
    writes more than is read of it would never end.
    """

    def __init__(self, reader: asyncio.StreamReader, transport: asyncio.ReadTransport) -> None:
        self._reader = reader
        self._transport = transport

    @classmethod
    async def open(cls) -> tuple[Self, int]:
        """The pipe, and the descriptor of its other end, which the caller closes. Raises OSError."""
        ours, theirs = os.pipe()
        reader = asyncio.StreamReader(MAX_HEAD)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(ours, "rb", buffering=0)
        )
        return cls(reader, transport), theirs

    async def next(self) -> bytes:
        """The next message's JSON. Raises IncompleteReadError where they end, ValueError where it is out of form."""
        (length,) = LENGTH.unpack(await self._reader.readexactly(LENGTH.size))
        if length > MAX_HEAD:
            raise ValueError(f"a message of {length} bytes; {MAX_HEAD} are the most")
        return await self._reader.readexactly(length)

    def close(self) -> None:
        """Read no more. A caller that waits for the next message is told that there are no more."""
        self._transport.close()
