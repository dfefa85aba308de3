"""Deleting objects from a bucket, many with one request where the store can do that."""

from collections.abc import Sequence
from typing import Any

import structlog
from botocore.exceptions import ClientError

from common.cancellation import together
from common.errors import NoSuchKey, StorageFault
from common.storage.s3.faults import Bucket, translate_errors

log = structlog.get_logger()

_MOST = 1000  # objects by one request


_FINAL = frozenset({400, 403, 404, 405, 411, 501})  # HTTP statuses of a request that the store never takes


class Deletions:
    """Deletions from one bucket. They learn whether its store takes DeleteObjects."""

    def __init__(self, client: Any, bucket: Bucket) -> None:
        self._client = client
        self._bucket = bucket
        self._at_once = True

    async def delete_all(self, keys: Sequence[str]) -> None:
        """Remove the objects. One that cannot be removed stops no other. Raises the first StorageFault."""
        for start in range(0, len(keys), _MOST):
            some = keys[start : start + _MOST]
            if self._at_once and len(some) > 1:
                await self._together(some)
            else:
                await self._each(some)

    async def _together(self, keys: Sequence[str]) -> None:
        wanted = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
        try:
            async with translate_errors(self._bucket, "DeleteObjects", keys[0]):
                answer = await self._client.delete_objects(Bucket=self._bucket.bucket, Delete=wanted)
        except (StorageFault, NoSuchKey) as refusal:
            await self._each(keys)
            if _is_final(refusal):
                log.info("deleting each object by itself", bucket=self._bucket.bucket, reason=str(refusal))
                self._at_once = False
            return
        # Some stores report a key that does not exist.
        await self._each([error["Key"] for error in answer.get("Errors", ()) if error.get("Code") != "NoSuchKey"])

    async def _each(self, keys: Sequence[str]) -> None:
        for fault in await together(*(self._delete(key) for key in keys)):
            if fault is not None:
                raise fault

    async def _delete(self, key: str) -> StorageFault | None:
        try:
            async with translate_errors(self._bucket, "DeleteObject", key):
                await self._client.delete_object(Bucket=self._bucket.bucket, Key=key)
        except StorageFault as fault:
            return fault
        return None


def _is_final(refusal: Exception) -> bool:
    """Whether the store takes no such request; else it was only busy, or its answer was lost."""
    cause = refusal.__cause__
    return isinstance(cause, ClientError) and cause.response["ResponseMetadata"]["HTTPStatusCode"] in _FINAL
