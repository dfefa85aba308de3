"""What an S3 server's answers say of an object: its age and its size."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any


def age(modified: datetime, answer: Any) -> float:
    """Seconds since `modified`, by the date the server put on its answer: clocks differ between machines."""
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    now = parsedate_to_datetime(headers["date"]) if "date" in headers else datetime.now(UTC)
    return (now - modified).total_seconds()


def size(answer: Any) -> int:
    """The object's bytes, by the answer to a request for its first one; -1 where the answer does not tell."""
    told = answer["ContentRange"].rpartition("/")[2] if "ContentRange" in answer else answer.get("ContentLength", "")
    return int(told) if str(told).isdigit() else -1
