"""Measuring and tracing a bucket: how long each operation takes, and how it ends."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Coroutine
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from functools import wraps
from pathlib import Path
from time import perf_counter
from typing import Any, ParamSpec, TypeVar

from common import metrics, tracing
from common.errors import KeyTaken, NoSuchKey, StorageFault, StorageFull
from common.storage.base import Entry

S = TypeVar("S")
T = TypeVar("T")
P = ParamSpec("P")

# The label values of the metric, by the methods of `Storage`.
_CALLS = {
    "put": "put",
    "put_all": "put_all",
    "put_file": "put_file",
    "copy_from": "copy",
    "get": "get",
    "stat": "stat",
    "delete": "delete",
    "delete_all": "delete_all",
    "check": "check",
}
_FETCH = "fetch"
_LISTINGS = {"entries": "list", "objects_of": "list_images"}
_OUTCOMES: tuple[tuple[type[BaseException], str], ...] = (
    (NoSuchKey, "absent"),
    (KeyTaken, "taken"),
    (StorageFull, "full"),
    (StorageFault, "fault"),
    (asyncio.CancelledError, "cancelled"),
)
_NO_FAILURES = ("ok", "absent", "taken")


def measured(bucket: type[S]) -> type[S]:
    """The same class of buckets, whose operations are measured. An operation that calls others counts beside them."""
    for name, operation in _CALLS.items():
        setattr(bucket, name, _measured_call(operation, getattr(bucket, name)))
    for name, operation in _LISTINGS.items():
        setattr(bucket, name, _measured_listing(operation, getattr(bucket, name)))
    bucket.as_file = _measured_fetch(bucket.as_file)  # type: ignore[attr-defined]
    return bucket


class _Stopwatch:
    """Observes the time of one operation. It is stopped while the caller has the turn.

    `arguments` are the operation's: the bucket, and what it is done with.
    """

    def __init__(self, operation: str, arguments: tuple[object, ...]) -> None:
        self._operation = operation
        self._arguments = arguments
        self._taken = 0.0
        self._start = perf_counter()

    def pause(self) -> None:
        self._taken += perf_counter() - self._start

    def go_on(self) -> None:
        self._start = perf_counter()

    def end(self, error: BaseException | None = None) -> None:
        self.pause()
        outcome = "ok"
        if error is not None:
            outcome = next((name for kind, name in _OUTCOMES if isinstance(error, kind)), "defect")
        metrics.STORE_SECONDS.labels(self._operation, outcome).observe(self._taken)
        if tracing.traceparent() is None:
            return
        failure = None if outcome in _NO_FAILURES else str(error) or outcome
        about = _about(self._operation, self._arguments) | {"outcome": outcome}
        tracing.record(f"store {self._operation}", self._taken, about, failure=failure)


def _about(operation: str, arguments: tuple[object, ...]) -> dict[str, tracing.Attribute]:
    """What a span says of its operation: the bucket, and the key, or the number of keys."""
    bucket, *others = arguments
    about: dict[str, tracing.Attribute] = {"bucket": str(bucket)}
    given = others[1:2] if operation == "copy" else others[:1]
    for one in given:
        if isinstance(one, str):
            about["key"] = one
        elif isinstance(one, Collection):
            about["keys"] = len(one)
    return about


def _measured_call(operation: str, method: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    @wraps(method)
    async def call(*arguments: P.args, **options: P.kwargs) -> T:
        watch = _Stopwatch(operation, arguments)
        try:
            found = await method(*arguments, **options)
        except BaseException as error:
            watch.end(error)
            raise
        watch.end()
        return found

    return call


def _measured_fetch(
    method: Callable[P, AbstractAsyncContextManager[Path]],
) -> Callable[P, AbstractAsyncContextManager[Path]]:
    """The time until the file can be read."""

    @wraps(method)
    @asynccontextmanager
    async def fetch(*arguments: P.args, **options: P.kwargs) -> AsyncIterator[Path]:
        watch = _Stopwatch(_FETCH, arguments)
        context = method(*arguments, **options)
        fetched = False
        try:
            async with context as path:
                fetched = True
                watch.end()
                yield path
        except BaseException as error:
            if not fetched:
                watch.end(error)
            raise

    return fetch


def _measured_listing(
    operation: str, method: Callable[P, AsyncGenerator[Entry, None]]
) -> Callable[P, AsyncIterator[Entry]]:
    """The time that the store takes, without the reader's own. A listing that is not read to its end does not count."""

    @wraps(method)
    async def listing(*arguments: P.args, **options: P.kwargs) -> AsyncIterator[Entry]:
        watch = _Stopwatch(operation, arguments)
        async with aclosing(method(*arguments, **options)) as entries:
            while True:
                try:
                    entry = await anext(entries)
                except StopAsyncIteration:
                    watch.end()
                    return
                except BaseException as error:
                    watch.end(error)
                    raise
                watch.pause()
                yield entry
                watch.go_on()

    return listing
