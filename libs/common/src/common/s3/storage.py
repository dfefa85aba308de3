"""Buckets on an S3 server. The only module that knows aiobotocore."""

import asyncio
import errno
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import aiohttp
import structlog
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore import UNSIGNED
from botocore.exceptions import BotoCoreError, ClientError

from common.errors import KeyTaken, NoSuchKey, StorageFault, StorageFull
from common.images.names import content_type, owner
from common.storage import SVG, Entry, Storage, Stranger
from common.temporary import temporary_file

log = structlog.get_logger()

_CHUNK = 1 << 20
_AT_ONCE = 16  # listings
_UNSIGNED = "none"
_NO_ACL = "AccessControlListNotSupported"
_TAKEN = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})


@dataclass(frozen=True)
class S3Account:
    """Where a bucket is and whose it is; what is None is left to the library's usual sources."""

    endpoint: str | None = None
    access_key_id: str | None = None
    secret_key: str | None = None
    region: str | None = None
    signature_version: str = "s3v4"

    def __repr__(self) -> str:
        return f"S3Account({self.endpoint or 'default'}, {self.access_key_id or 'default'})"


class S3Storage:
    """One bucket. `acl` is the canned ACL of what is stored; `cache_control` goes with public objects."""

    def __init__(
        self, client: Any, account: S3Account, bucket: str, *, acl: str, cache_control: str, temporary: Path
    ) -> None:
        self._client = client
        self.account = account
        self.bucket = bucket
        self._acl: str | None = acl
        self._conditional = True
        self._cache_control = cache_control
        self._temporary = temporary

    async def put(self, key: str, data: bytes) -> None:
        """Store `data` under `key`, replacing what was there."""
        await self._write("put_object", key, Body=data)

    async def put_file(self, key: str, path: Path, *, exclusive: bool = False) -> None:
        """Store the file's content. With `exclusive`, raises KeyTaken where an object is there already."""
        if exclusive and not self._conditional and await self.stat(key) is not None:
            raise KeyTaken(key)
        with path.open("rb") as body:
            await self._write("put_object", key, exclusive=exclusive, Body=body)

    async def copy_from(self, source: Storage, key: str) -> None:
        """Copy on the server where both buckets are one account's; otherwise through here. Raises NoSuchKey."""
        if isinstance(source, S3Storage) and source.account == self.account:
            origin = {"Bucket": source.bucket, "Key": key}
            await self._write("copy_object", key, CopySource=origin, MetadataDirective="REPLACE")
            return
        async with source.as_file(key) as path:
            await self.put_file(key, path)

    async def get(self, key: str) -> bytes:
        """The object's content. Raises NoSuchKey."""
        async with self._translated("GetObject", key):
            answer = await self._client.get_object(Bucket=self.bucket, Key=key)
            async with answer["Body"] as body:
                content: bytes = await body.read()
                return content

    @asynccontextmanager
    async def as_file(self, key: str) -> AsyncIterator[Path]:
        """The object's content, fetched into the temporary folder. Raises NoSuchKey."""
        path = temporary_file(self._temporary)
        try:
            await self._fetch(key, path)
            yield path
        finally:
            path.unlink(missing_ok=True)

    async def stat(self, key: str) -> Entry | None:
        """The object's entry, or None when the bucket holds no such key."""
        try:
            async with self._translated("HeadObject", key):
                found = await self._client.head_object(Bucket=self.bucket, Key=key)
        except NoSuchKey:
            await self.check()  # the answer to HEAD has no body: a missing bucket looks just like a missing key
            return None
        return Entry(key, found["ContentLength"], _age(found["LastModified"], found))

    async def delete(self, key: str) -> None:
        """Remove the object; one that is not there is fine."""
        async with self._translated("DeleteObject", key):
            await self._client.delete_object(Bucket=self.bucket, Key=key)

    async def as_stranger(self, key: str) -> Stranger:
        """Ask for the object without a signature."""
        async with connect(replace(self.account, signature_version=_UNSIGNED)) as client:
            try:
                async with self._translated("GetObject", key):
                    found = await client.head_object(Bucket=self.bucket, Key=key)
            except (StorageFault, NoSuchKey):
                return Stranger(readable=False)
        return Stranger(readable=True, content_type=found.get("ContentType"))

    async def entries(self, prefix: str = "") -> AsyncIterator[Entry]:
        """Entries whose key starts with `prefix`, a page at a time."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix, Delimiter="/")
        async with self._translated("ListObjectsV2", prefix):
            async for page in pages:
                for found in page.get("Contents", ()):
                    yield Entry(found["Key"], found["Size"], _age(found["LastModified"], page))

    async def objects_of(self, names: Collection[str]) -> AsyncIterator[Entry]:
        """Entries of all objects of the images of these names, by a listing for each."""
        ordered = sorted(names)
        for start in range(0, len(ordered), _AT_ONCE):
            for listed in await asyncio.gather(*(self._listed(name) for name in ordered[start : start + _AT_ONCE])):
                for entry in listed:
                    yield entry

    async def check(self) -> None:
        """Return if the bucket answers to these credentials."""
        try:
            async with self._translated("HeadBucket", ""):
                await self._client.head_bucket(Bucket=self.bucket)
        except NoSuchKey as error:
            raise StorageFault(f"the S3 bucket {self.bucket} does not exist") from error

    async def leftovers(self) -> list[str]:
        """None: an object appears whole or not at all."""
        return []

    async def tidy(self) -> None:
        """Nothing to do."""

    async def _write(self, operation: str, key: str, *, exclusive: bool = False, **what: Any) -> None:
        headers = {"ContentType": content_type(key)}
        if self._cache_control:
            # A record is replaced when an image is rendered again, so whoever has one asks whether it still holds.
            headers["CacheControl"] = "no-cache" if key.endswith(".json") else self._cache_control
        if key.endswith(SVG):
            headers["ContentDisposition"] = "attachment"
        while True:
            # Decided anew each time: what one request learns of the store, those beside it may not know yet.
            extras = {"ACL": self._acl} if self._acl else {}
            extras |= {"IfNoneMatch": "*"} if exclusive and self._conditional else {}
            try:
                async with self._translated(operation, key):
                    await getattr(self._client, operation)(Bucket=self.bucket, Key=key, **headers, **extras, **what)
            except _Unsupported as refusal:
                if not extras:
                    raise
                self._go_without(extras, refusal)
                if hasattr(what.get("Body"), "seek"):
                    what["Body"].seek(0)
            else:
                return

    def _go_without(self, extras: dict[str, str], refusal: "_Unsupported") -> None:
        if "IfNoneMatch" in extras and refusal.code != _NO_ACL:
            log.info("the store has no conditional writes: going without", bucket=self.bucket)
            self._conditional = False
        else:
            log.info("the store has no ACLs: going without", bucket=self.bucket)
            self._acl = None

    async def _listed(self, name: str) -> list[Entry]:
        return [entry async for entry in self.entries(name) if owner(entry.key) == name]

    async def _fetch(self, key: str, path: Path) -> None:
        async with self._translated("GetObject", key):
            answer = await self._client.get_object(Bucket=self.bucket, Key=key)
            async with answer["Body"] as body:
                with path.open("wb") as file:
                    async for chunk in body.iter_chunks(_CHUNK):
                        await asyncio.to_thread(file.write, chunk)

    @asynccontextmanager
    async def _translated(self, operation: str, key: str) -> AsyncIterator[None]:
        where = f"S3 bucket {self.bucket}: {operation} {key}".rstrip()
        try:
            yield
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in ("NoSuchKey", "404"):
                raise NoSuchKey(key) from error
            if code in _TAKEN:
                raise KeyTaken(key) from error
            message = error.response.get("Error", {}).get("Message", "")
            if code in (_NO_ACL, "NotImplemented"):
                raise _Unsupported(f"{where}: {code} {message}".rstrip(), code) from error
            raise StorageFault(f"{where}: {code} {message}".rstrip()) from error
        except (BotoCoreError, aiohttp.ClientError, OSError, TimeoutError) as error:
            full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)  # TEMP_FOLDER is
            raise (StorageFull if full else StorageFault)(f"{where}: {error or type(error).__name__}") from error


class _Unsupported(StorageFault):
    """The store does not know an ACL or a condition that was asked for."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


@asynccontextmanager
async def connect(account: S3Account) -> AsyncIterator[Any]:
    """A client for the account. It connects when it is first used, so the server need not be up yet."""
    config = AioConfig(
        signature_version=UNSIGNED if account.signature_version == _UNSIGNED else account.signature_version,
        # The library's newer default adds checksums that other vendors' servers refuse.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        retries={"mode": "standard", "max_attempts": 3},
        connect_timeout=5,
        read_timeout=30,
        max_pool_connections=50,
        s3={"addressing_style": "path" if account.endpoint else "auto"},
    )
    # Without a region, the library asks the environment and its own files; other vendors take any.
    region = account.region or ("us-east-1" if account.endpoint else None)
    async with get_session().create_client(
        "s3",
        endpoint_url=account.endpoint,
        aws_access_key_id=account.access_key_id,
        aws_secret_access_key=account.secret_key,
        region_name=region,
        config=config,
    ) as client:
        yield client


def _age(modified: datetime, answer: Any) -> float:
    """Seconds since `modified`, by the date the server put on its answer: clocks differ between machines."""
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    now = parsedate_to_datetime(headers["date"]) if "date" in headers else datetime.now(UTC)
    return (now - modified).total_seconds()
