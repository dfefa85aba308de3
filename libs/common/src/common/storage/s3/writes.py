"""Writing objects into a bucket, with an ACL and with the condition that the key is free where the store has them."""

import asyncio
import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

import structlog

from common.backoff import jittered
from common.cancellation import to_the_end
from common.errors import KeyTaken, StorageFault
from common.images.names import content_type
from common.storage.base import SVG
from common.storage.s3.account import write_seconds
from common.storage.s3.faults import NO_ACL, Bucket, Unsupported, translate_errors
from common.storage.s3.identity import PUT_ID, read_identity

log = structlog.get_logger()

_CANCELLED = 5.0  # seconds that a cancelled request has to end
_CONFLICT_PAUSES = (0.2, 1.0)  # seconds before a retry when the store reports a conflict, and the key does not exist


class Writes:
    """Writes into one bucket. They learn whether its store has ACLs and conditional writes.

    `acl` is the canned ACL of what is stored; `cache_control` goes with public objects.
    """

    def __init__(self, client: Any, bucket: Bucket, *, acl: str, cache_control: str) -> None:
        self._client = client
        self._bucket = bucket
        self._acl: str | None = acl
        self._cache_control = cache_control
        self.conditional = True

    async def put(self, key: str, what: bytes | Path) -> None:
        """Store the bytes, or the file's content, replacing what was there."""
        with _opened(what) as body:
            await self._write("put_object", key, Body=body)

    async def copy(self, bucket: str, key: str) -> None:
        """Store a copy of another bucket's object, made by the server. Raises NoSuchKey."""
        origin = {"Bucket": bucket, "Key": key}
        await self._write("copy_object", key, CopySource=origin, MetadataDirective="REPLACE")

    async def put_exclusively(self, key: str, what: bytes | Path) -> None:
        """Store the bytes, or the file's content, if the store has conditional writes only where the key is free.

        Raises KeyTaken where it is not. If it is cancelled, the key is free again.
        """
        put_id = uuid4().hex
        try:
            await self._put_exclusively(key, what, put_id)
        except asyncio.CancelledError:
            await to_the_end(self._remove_own(key, put_id), on_cancel=_end_soon)
            raise

    async def _put_exclusively(self, key: str, what: bytes | Path, put_id: str) -> None:
        for pause in (*_CONFLICT_PAUSES, None):
            try:
                with _opened(what) as body:
                    await self._write("put_object", key, put_id=put_id, Body=body)
            except KeyTaken:
                found = await read_identity(self._client, self._bucket, key)
                # The library repeats a request whose answer was lost, and is then refused because of its own object.
                if found is not None and found.put_id == put_id:
                    return
                if found is not None or pause is None:
                    raise
                await asyncio.sleep(jittered(pause))  # the writer may be an earlier attempt of this very put
            else:
                return

    async def _remove_own(self, key: str, put_id: str) -> None:
        """Remove the object if this very put stored it."""
        try:
            found = await read_identity(self._client, self._bucket, key)
            if found is not None and found.put_id == put_id:
                async with translate_errors(self._bucket, "DeleteObject", key):
                    await self._client.delete_object(Bucket=self._bucket.bucket, Key=key)
        except StorageFault as fault:
            log.warning(
                "an object that a cancelled request may have stored cannot be removed", key=key, reason=str(fault)
            )

    async def _write(self, operation: str, key: str, *, put_id: str | None = None, **what: Any) -> None:
        """Store an object. With `put_id`, only if the key is free, and with the id in the object's metadata."""
        headers: dict[str, Any] = {"ContentType": content_type(key)}
        if put_id is not None:
            headers["Metadata"] = {PUT_ID: put_id}
        if self._cache_control:
            # A record is replaced when an image is rendered again, so caches must ask whether theirs is current.
            headers["CacheControl"] = "no-cache" if key.endswith(".json") else self._cache_control
        if key.endswith(SVG):
            headers["ContentDisposition"] = "attachment"
        # The server may carry out a cancelled request: wait for its outcome.
        await to_the_end(self._send(operation, key, headers, what, put_id=put_id), on_cancel=_end_soon)

    async def _send(
        self, operation: str, key: str, headers: dict[str, Any], what: dict[str, Any], *, put_id: str | None
    ) -> None:
        while True:
            # Decided at each attempt: a request running at the same time may have learnt what the store lacks.
            extras = {"ACL": self._acl} if self._acl else {}
            extras |= {"IfNoneMatch": "*"} if put_id is not None and self.conditional else {}
            try:
                limit = write_seconds(_size(what.get("Body", b"")))
                async with translate_errors(self._bucket, operation, key), asyncio.timeout(limit):
                    send = getattr(self._client, operation)
                    await send(Bucket=self._bucket.bucket, Key=key, **headers, **extras, **what)
            except Unsupported as refusal:
                if not extras:
                    raise
                self._stop_using(extras, refusal)
                if hasattr(what.get("Body"), "seek"):
                    what["Body"].seek(0)
            else:
                return

    def _stop_using(self, extras: dict[str, str], refusal: Unsupported) -> None:
        if "IfNoneMatch" in extras and refusal.code != NO_ACL:
            log.info("the store has no conditional writes: writing without them", bucket=self._bucket.bucket)
            self.conditional = False
        else:
            log.info("the store has no ACLs: writing without them", bucket=self._bucket.bucket)
            self._acl = None


def _opened(what: bytes | Path) -> AbstractContextManager[bytes | BinaryIO]:
    return nullcontext(what) if isinstance(what, bytes) else what.open("rb")


def _size(body: bytes | BinaryIO) -> int:
    return len(body) if isinstance(body, bytes) else os.fstat(body.fileno()).st_size


def _end_soon(request: "asyncio.Future[None]") -> None:
    asyncio.get_running_loop().call_later(_CANCELLED, request.cancel)
