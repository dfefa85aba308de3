"""What an S3 server's answers say of an object: its identity, and its age."""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

PUT_ID = "put-id"  # metadata of objects that are stored exclusively: the put that stored the object


@dataclass(frozen=True)
class Identity:
    """What tells an object from all others, copies of it included: a copy has no `put_id`."""

    put_id: str | None
    etag: str
    modified: datetime


def identity_in(answer: Any) -> Identity:
    """The identity in the answer to HeadObject."""
    return Identity(answer["Metadata"].get(PUT_ID), answer["ETag"], answer["LastModified"])


def age(modified: datetime, answer: Any) -> float:
    """Seconds since `modified`, by the date the server put on its answer: clocks differ between machines."""
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    now = parsedate_to_datetime(headers["date"]) if "date" in headers else datetime.now(UTC)
    return (now - modified).total_seconds()
