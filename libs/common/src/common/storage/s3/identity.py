"""The identity of an object on an S3 server, which no other object has."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from common.errors import NoSuchKey
from common.storage.s3.answers import ask_for_first_byte
from common.storage.s3.faults import Bucket, translate_errors

PUT_ID = "put-id"  # metadata of objects that are stored exclusively: the put that stored the object


@dataclass(frozen=True)
class Identity:
    """Of an object. A copy of the object has another: it has no `put_id`."""

    put_id: str | None
    etag: str
    modified: datetime


async def read_identity(client: Any, bucket: Bucket, key: str) -> Identity | None:
    """The object's identity, or None where there is no such object. Raises StorageFault."""
    try:
        async with translate_errors(bucket, "GetObject", key):
            found = await ask_for_first_byte(client, bucket.bucket, key)
    except NoSuchKey:
        return None
    return Identity(found["Metadata"].get(PUT_ID), found["ETag"], found["LastModified"])
