"""What metrics and traces cost: the embedded pipeline with and without them, in turn."""

import asyncio
import os
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from multiprocessing import get_context
from pathlib import Path
from unittest.mock import patch

from prometheus_client import Counter, Gauge, Histogram
from tests.benchmarks import photos
from tests.benchmarks.pipeline import embedded_rate
from tests.benchmarks.report import say
from tests.support.collector import Collector
from tests.support.servers import answers, free_port, wait_for

from common import tracing
from common.lifecycle import exempt_from_collection

_ROUNDS = 9
_SAMPLER = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio"}
_COUNTING = ((Counter, "inc"), (Gauge, "inc"), (Gauge, "dec"), (Gauge, "set"), (Histogram, "observe"))


def overhead(folder: Path) -> None:
    """Images a second with and without metrics and traces, and the ratios: medians of all rounds."""
    photo = photos.make_photo(folder)
    found: dict[str, list[float]] = {}
    exempt_from_collection()
    with _collector() as url, tempfile.TemporaryDirectory(dir=folder) as kept:
        for _ in range(_ROUNDS):
            for name, observed in _ways(url).items():
                with observed:
                    rate = asyncio.run(embedded_rate(photo, kept)).images_a_second
                found.setdefault(name, []).append(rate)
    say()
    say(f"The embedded pipeline with and without metrics and traces, medians of {_ROUNDS} rounds")
    say(f"{'':32}{'images/s':>9}{'ratio':>9}")
    bare, metrics, sampled, traced = found
    for name, base, wanted in (
        (bare, bare, ""),
        (metrics, bare, " of that without (at least 98 % is wanted)"),
        (sampled, metrics, " of that with metrics (at least 97 % is wanted)"),
        (traced, metrics, " of that with metrics"),
    ):
        ratio = statistics.median(one / other for one, other in zip(found[name], found[base], strict=True))
        say(f"{name:32}{statistics.median(found[name]):9.1f}{ratio:9.1%}{wanted}")


def _ways(url: str) -> dict[str, AbstractContextManager[None]]:
    return {
        "without metrics": _uncounted(),
        "metrics": nullcontext(),
        "metrics, one trace of ten": _traced(url, "0.1"),
        "metrics, all traces": _traced(url, "1"),
    }


@contextmanager
def _uncounted() -> Iterator[None]:
    """Have metrics count nothing."""
    with ExitStack() as stack:
        for kind, method in _COUNTING:
            stack.enter_context(patch.object(kind, method, lambda *_, **__: None))
        for kind in (Counter, Histogram):  # the labels of gauges are also used to read something
            stack.enter_context(patch.object(kind, "labels", lambda metric, *_, **__: metric))
        yield


@contextmanager
def _traced(url: str, share: str) -> Iterator[None]:
    """Have this process trace this share of events."""
    os.environ |= _SAMPLER | {"OTEL_TRACES_SAMPLER_ARG": share}
    tracing.start("bench", url)
    try:
        yield
    finally:
        tracing.stop()


@contextmanager
def _collector() -> Iterator[str]:
    """Where a collector takes spans, in a process of its own."""
    port = free_port()
    process = get_context("spawn").Process(target=_collect, args=(port,))
    process.start()
    try:
        wait_for("the collector", lambda: answers(f"http://127.0.0.1:{port}"))
        yield f"http://127.0.0.1:{port}/v1/traces"
    finally:
        process.terminate()
        process.join()


def _collect(port: int) -> None:
    async def serve() -> None:
        async with Collector.open(port):
            await asyncio.Event().wait()

    asyncio.run(serve())
