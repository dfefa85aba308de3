"""Deleting objects from a bucket, many with one request where the store can do that."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import structlog
from botocore.exceptions import ClientError

from common.cancellation import together
from common.errors import NoSuchKey, NotDeleted, StorageFault
from common.storage.s3.faults import Bucket, translate_errors

log = structlog.get_logger()

_MOST = 1000  # objects by one request
_TOGETHER = 32  # requests for one object each
_MOST_FAULTS = 32  # after them the store is away, and each further request would only take long

_FINAL = frozenset({400, 403, 404, 405, 411, 501})  # HTTP statuses of a request that the store never takes


class Deletions:
    """Deletions from one bucket. They learn whether its store takes DeleteObjects."""

    def __init__(self, client: Any, bucket: Bucket) -> None:
        self._client = client
        self._bucket = bucket
        self._at_once = True

    async def delete(self, key: str) -> None:
        """Remove the object, if it exists. Raises StorageFault."""
        with suppress(NoSuchKey):  # as some stores report one that does not
            async with translate_errors(self._bucket, "DeleteObject", key):
                await self._client.delete_object(Bucket=self._bucket.bucket, Key=key)

    async def delete_all(self, keys: Sequence[str]) -> None:
        """Remove the objects. Raises NotDeleted with those that may be left.

        One that cannot be removed stops no other, until _MOST_FAULTS cannot: then the store is away.
        """
        left: dict[str, StorageFault] = {}
        for start in range(0, len(keys), _MOST):
            if len(left) >= _MOST_FAULTS:
                left |= dict.fromkeys(keys[start:], next(iter(left.values())))
                break
            some = keys[start : start + _MOST]
            left |= await (self._together(some) if self._at_once and len(some) > 1 else self._each(some))
        if left:
            raise NotDeleted(left, left[min(left)])

    async def _together(self, keys: Sequence[str]) -> dict[str, StorageFault]:
        wanted = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
        try:
            async with translate_errors(self._bucket, "DeleteObjects", keys[0]):
                answer = await self._client.delete_objects(Bucket=self._bucket.bucket, Delete=wanted)
        except (StorageFault, NoSuchKey) as refusal:
            left = await self._each(keys)
            if _is_final(refusal):
                log.info("deleting each object by itself", bucket=self._bucket.bucket, reason=str(refusal))
                self._at_once = False
            return left
        # Some stores report a key that does not exist.
        errors = answer.get("Errors", ())
        return await self._each([error["Key"] for error in errors if error.get("Code") != "NoSuchKey"])

    async def _each(self, keys: Sequence[str]) -> dict[str, StorageFault]:
        """Why some keys may be left, some of them because those before could not be removed."""
        left: dict[str, StorageFault] = {}
        for start in range(0, len(keys), _TOGETHER):
            some = keys[start : start + _TOGETHER]
            faults = await together(*(self._fault_of(key) for key in some))
            left |= {key: fault for key, fault in zip(some, faults, strict=True) if fault is not None}
            if len(left) >= _MOST_FAULTS:
                return left | dict.fromkeys(keys[start + _TOGETHER :], left[min(left)])
        return left

    async def _fault_of(self, key: str) -> StorageFault | None:
        try:
            await self.delete(key)
        except StorageFault as fault:
            return fault
        return None


def _is_final(refusal: Exception) -> bool:
    """Whether the store takes no such request; else it was only busy, or its answer was lost."""
    cause = refusal.__cause__
    return isinstance(cause, ClientError) and cause.response["ResponseMetadata"]["HTTPStatusCode"] in _FINAL
