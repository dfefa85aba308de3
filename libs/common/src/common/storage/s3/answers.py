"""Asking an S3 server for an object's properties, and what its answers say: the object's age and its size."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from botocore.exceptions import ClientError


async def ask_for_first_byte(client: Any, bucket: str, key: str) -> Any:
    """The answer to a request for the object's first byte, which has all of the object's properties.

    The answer to HEAD has no body, so a missing bucket would look just like a missing key. Raises ClientError.
    """
    try:
        found = await client.get_object(Bucket=bucket, Key=key, Range="bytes=0-0")
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        return await client.head_object(Bucket=bucket, Key=key)  # it is there, and has no byte
    async with found["Body"] as body:
        if "ContentRange" in found:
            await body.read()  # so that the connection can be used again
    return found if size(found) >= 0 else await client.head_object(Bucket=bucket, Key=key)


def age(modified: datetime, answer: Any) -> float:
    """Seconds since `modified`, by the date the server put on its answer: clocks differ between machines."""
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    now = parsedate_to_datetime(headers["date"]) if "date" in headers else datetime.now(UTC)
    return (now - modified).total_seconds()


def size(answer: Any) -> int:
    """The object's bytes, by the answer to a request for its first one; -1 where the answer does not tell."""
    told = answer["ContentRange"].rpartition("/")[2] if "ContentRange" in answer else answer.get("ContentLength", "")
    return int(told) if str(told).isdigit() else -1
