"""Measuring the calls of the API server: how long each takes, and how it ends."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from aiohttp import web

from common import metrics
from common.errors import Transient
from common.http import RequestRefused
from publisher.errors import EditImpossible, ImageFailed, ImageUnknown, UploadExpired

# The label values of the metric.
_OUTCOMES: tuple[tuple[type[BaseException], str], ...] = (
    (ImageUnknown, "unknown"),
    (UploadExpired, "expired"),
    (ImageFailed, "failed"),
    (EditImpossible, "impossible"),
    (RequestRefused, "refused"),
    (web.HTTPException, "refused"),  # aiohttp's own, for a body that is too large
    (Transient, "unavailable"),
    (ConnectionError, "lost"),
    (asyncio.CancelledError, "lost"),
)


@contextmanager
def measured_command(command: str) -> Iterator[None]:
    """Around a call, with all that it raises."""
    start = perf_counter()
    outcome = "done"
    try:
        yield
    except BaseException as error:
        outcome = next((name for kind, name in _OUTCOMES if isinstance(error, kind)), "defect")
        raise
    finally:
        metrics.COMMAND_SECONDS.labels(command, outcome).observe(perf_counter() - start)
