"""Buckets on an S3 server, as the storage protocol wants them."""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from common.cancellation import in_thread, together
from common.errors import KeyTaken, NoSuchKey, StorageFault
from common.images.names import image_name_of
from common.settings.accounts import canonical_server
from common.storage.base import AnonymousAccess, Entry, Storage
from common.storage.measured import measured
from common.storage.s3.account import NO_SIGNATURE, S3Account, connect
from common.storage.s3.answers import age, ask_for_first_byte, size
from common.storage.s3.deletions import Deletions
from common.storage.s3.faults import translate_errors
from common.storage.s3.identity import Identity, read_identity
from common.storage.s3.writes import Writes
from common.storage.temporary import temporary_path

_CHUNK = 1 << 20
_AT_ONCE = 16  # listings
_REFUSALS = frozenset({401, 403, 404})  # HTTP statuses of an object that is not public


@measured
class S3Storage:
    """One bucket. `acl` is the canned ACL of what is stored; `cache_control` goes with public objects."""

    def __init__(
        self, client: Any, account: S3Account, bucket: str, *, acl: str, cache_control: str, temporary: Path
    ) -> None:
        self._client = client
        self.account = account
        self.bucket = bucket
        self._writes = Writes(client, self, acl=acl, cache_control=cache_control)
        self._deletions = Deletions(client, self)
        self._temporary = temporary

    def __str__(self) -> str:
        return self.bucket

    async def put(self, key: str, data: bytes, *, exclusive: bool = False) -> None:
        """Store `data` under `key`. With `exclusive`, raises KeyTaken where an object is there already."""
        await self._put(key, data, exclusive=exclusive)

    async def put_all(self, objects: Mapping[str, bytes]) -> None:
        """Store each object under its key, all at the same time."""
        await together(*(self.put(key, data) for key, data in objects.items()))

    async def put_file(self, key: str, path: Path, *, exclusive: bool = False) -> None:
        """Store the file's content. With `exclusive`, raises KeyTaken where an object is there already."""
        await self._put(key, path, exclusive=exclusive)

    async def _put(self, key: str, what: bytes | Path, *, exclusive: bool) -> None:
        if not exclusive:
            await self._writes.put(key, what)
            return
        if not self._writes.conditional and await self.stat(key) is not None:
            raise KeyTaken(key)
        await self._writes.put_exclusively(key, what)

    async def copy_from(self, source: Storage, key: str) -> None:
        """Copy on the server if both buckets have one account; otherwise download and upload. Raises NoSuchKey."""
        if await self.is_same_object(source, key):
            raise StorageFault(f"S3 bucket {self.bucket}: {key} cannot be copied onto itself")
        if isinstance(source, S3Storage) and source.account == self.account:
            await self._writes.copy(source.bucket, key)
            return
        async with source.as_file(key) as path:
            await self.put_file(key, path)

    async def get(self, key: str) -> bytes:
        """The object's content. Raises NoSuchKey."""
        async with translate_errors(self, "GetObject", key):
            answer = await self._client.get_object(Bucket=self.bucket, Key=key)
            async with answer["Body"] as body:
                content: bytes = await body.read()
                return content

    @asynccontextmanager
    async def as_file(self, key: str) -> AsyncIterator[Path]:
        """The object's content, fetched into the temporary folder. Raises NoSuchKey."""
        path = temporary_path(self._temporary)
        try:
            await self._fetch(key, path)
            yield path
        finally:
            path.unlink(missing_ok=True)

    async def stat(self, key: str) -> Entry | None:
        """The object's entry, or None when the bucket holds no such key."""
        try:
            async with translate_errors(self, "GetObject", key):
                found = await ask_for_first_byte(self._client, self.bucket, key)
        except NoSuchKey:
            return None
        return Entry(key, size(found), age(found["LastModified"], found))

    async def is_same_object(self, other: Storage, key: str) -> bool:
        """Whether both are one bucket, even at two addresses. A copy of an object is another object."""
        if not isinstance(other, S3Storage) or other.bucket != self.bucket:
            return False
        if canonical_server(other.account.endpoint) == canonical_server(self.account.endpoint):
            return True
        found = await self.identity(key)
        return found is not None and found == await other.identity(key)

    async def delete(self, key: str) -> None:
        """Remove the object. A key that does not exist is no error."""
        await self._deletions.delete(key)

    async def delete_all(self, keys: Collection[str]) -> None:
        """Remove the objects, up to a thousand with one request. Raises NotDeleted."""
        await self._deletions.delete_all(sorted(keys))

    async def anonymous_access(self, key: str) -> AnonymousAccess:
        """Ask for the object without a signature."""
        unsigned = connect(replace(self.account, signature_version=NO_SIGNATURE))
        async with unsigned as client, translate_errors(self, "HeadObject", key):
            try:
                found = await client.head_object(Bucket=self.bucket, Key=key)
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] not in _REFUSALS:
                    raise
                return AnonymousAccess(readable=False)
        return AnonymousAccess(readable=True, content_type=found.get("ContentType"))

    async def entries(self, prefix: str = "") -> AsyncIterator[Entry]:
        """Entries whose key starts with `prefix`, a page at a time."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix, Delimiter="/")
        async with translate_errors(self, "ListObjectsV2", prefix):
            async for page in pages:
                for found in page.get("Contents", ()):
                    yield Entry(found["Key"], found["Size"], age(found["LastModified"], page))

    async def objects_of(self, names: Collection[str]) -> AsyncIterator[Entry]:
        """Entries of all objects of the images of these names, by a listing for each."""
        ordered = sorted(names)
        for start in range(0, len(ordered), _AT_ONCE):
            for listed in await together(*(self._listed(name) for name in ordered[start : start + _AT_ONCE])):
                for entry in listed:
                    yield entry

    async def check(self) -> None:
        """Return if the bucket exists and accepts these credentials."""
        try:
            async with translate_errors(self, "HeadBucket", ""):
                await self._client.head_bucket(Bucket=self.bucket)
        except NoSuchKey as error:
            raise StorageFault(f"the S3 bucket {self.bucket} does not exist") from error

    async def unfinished_writes(self) -> list[str]:
        """None: an object appears whole or not at all."""
        return []

    async def remove_unfinished_writes(self) -> None:
        """Nothing to do."""

    async def identity(self, key: str) -> Identity | None:
        """The object's identity, or None where there is no such object."""
        return await read_identity(self._client, self, key)

    async def _listed(self, name: str) -> list[Entry]:
        return [entry async for entry in self.entries(name) if image_name_of(entry.key) == name]

    async def _fetch(self, key: str, path: Path) -> None:
        async with translate_errors(self, "GetObject", key):
            answer = await self._client.get_object(Bucket=self.bucket, Key=key)
            async with answer["Body"] as body:
                with path.open("wb") as file:
                    async for chunk in body.iter_chunks(_CHUNK):
                        await in_thread(file.write, chunk)
