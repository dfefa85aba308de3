"""Buckets as services see them: a small protocol with two implementations, `local` and `s3`.

Objects appear under their key whole or not at all, and are replaced, never changed. Only NoSuchKey means absent; a
missing bucket, a refusal or a time-out is a StorageFault.
"""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

SVG = ".svg"


@dataclass(frozen=True)
class Entry:
    """An object as the store lists it. `age` is in seconds, by the store's own clock."""

    key: str
    bytes: int
    age: float


@dataclass(frozen=True)
class AnonymousAccess:
    """What somebody without credentials can read. `readable` is None where the store does not decide that."""

    readable: bool | None
    content_type: str | None = None


class Storage(Protocol):
    """One bucket. Every method raises StorageFault when the store does not do what it is asked."""

    async def put(self, key: str, data: bytes, *, exclusive: bool = False) -> None:
        """Store `data` under `key`, replacing what was there.

        With `exclusive`, raises KeyTaken where an object is there already (as far as the store can tell), and if it is
        cancelled, the key is free again.
        """

    async def put_all(self, objects: Mapping[str, bytes]) -> None:
        """Store each object under its key, as `put` does, at less cost than one by one, and in no order.

        When it raises or is cancelled, some may have been stored.
        """

    async def put_file(self, key: str, path: Path, *, exclusive: bool = False) -> None:
        """Store the file's content, which must not be written to again. `exclusive` is as for `put`."""

    async def copy_from(self, source: "Storage", key: str) -> None:
        """Store another bucket's object here under the same key. Raises NoSuchKey, StorageFault onto itself."""

    async def get(self, key: str) -> bytes:
        """The object's content. Raises NoSuchKey."""

    def as_file(self, key: str) -> AbstractAsyncContextManager[Path]:
        """The object's content as a file to read, for the time of the context. Raises NoSuchKey."""

    async def stat(self, key: str) -> Entry | None:
        """The object's entry, or None when the store holds no such key."""

    async def is_same_object(self, other: "Storage", key: str) -> bool:
        """Whether both hold the very same object under the key: deleting it in one deletes it in the other."""

    async def delete(self, key: str) -> None:
        """Remove the object. A key that does not exist is no error."""

    async def delete_all(self, keys: Collection[str]) -> None:
        """Remove the objects, in as few requests as the store allows. Keys that do not exist are no error.

        Those that are stored in one request are removed in no order. A key that cannot be removed does not stop the
        others, unless very many cannot. Raises NotDeleted with those that may be left.
        """

    async def anonymous_access(self, key: str) -> AnonymousAccess:
        """Whether somebody without credentials can read the object."""

    def entries(self, prefix: str = "") -> AsyncIterator[Entry]:
        """Entries whose key starts with `prefix`, without those in a folder below; in no order."""

    def objects_of(self, names: Collection[str]) -> AsyncIterator[Entry]:
        """Entries of all objects that belong to the images of these names."""

    async def check(self) -> None:
        """Return if the bucket can be reached."""

    async def unfinished_writes(self) -> list[str]:
        """Temporary files of crashed writes. They have no key."""

    async def remove_unfinished_writes(self) -> None:
        """Remove them."""


@dataclass(frozen=True)
class Buckets:
    """The two buckets: *incoming* is private, *active* public."""

    incoming: Storage
    active: Storage

    async def check(self) -> None:
        """Return if both can be reached, else raise StorageFault."""
        await self.incoming.check()
        await self.active.check()

    async def remove_unfinished_writes(self) -> None:
        """Remove the unfinished writes of both."""
        await self.incoming.remove_unfinished_writes()
        await self.active.remove_unfinished_writes()
