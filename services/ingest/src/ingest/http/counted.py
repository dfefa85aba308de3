"""Counting uploads: what they are, how they end, and why some are refused."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus

from common import metrics
from common.http import RequestRefused

# The label values of the metric, for what is refused without a look at the image.
_REASONS = {
    HTTPStatus.BAD_REQUEST: "malformed",
    HTTPStatus.REQUEST_TIMEOUT: "too-slow",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "too-large",
    HTTPStatus.TOO_MANY_REQUESTS: "too-many",
    HTTPStatus.SERVICE_UNAVAILABLE: "no-room",
}


@dataclass
class CountedUpload:
    """What is known of an upload: its format, its size in bytes, and the class of the image's failure."""

    format: str = "unknown"
    bytes: int = 0
    fault: str | None = None


@contextmanager
def counted_upload() -> Iterator[CountedUpload]:
    """Count an upload when it has ended, by what the block has set and by what it raises."""
    upload, outcome = CountedUpload(), "failed"
    try:
        yield upload
        outcome = "stored"
        metrics.UPLOAD_BYTES.labels(upload.format).inc(upload.bytes)
    except RequestRefused as refusal:
        outcome = "refused"
        metrics.UPLOADS_REFUSED.labels(upload.fault or _REASONS.get(HTTPStatus(refusal.status), "other")).inc()
        raise
    except (ConnectionError, asyncio.CancelledError):
        outcome = "lost"
        raise
    finally:
        metrics.UPLOADS.labels(upload.format, outcome).inc()
