"""What traces cost: the embedded pipeline without them, with one of ten recorded, and with all, in turn."""

import asyncio
import os
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

from tests.benchmarks import photos
from tests.benchmarks.pipeline import embedded_rate
from tests.benchmarks.report import say
from tests.support.collector import Collector
from tests.support.servers import answers, free_port, wait_for

from common import tracing

_ROUNDS = 9
_SHARES = {"without": None, "one of ten": "0.1", "all": "1"}
_SAMPLER = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio"}


def overhead(folder: Path) -> None:
    """Images a second by the share of traces that are recorded, and of what there is without: medians of all rounds."""
    photo = photos.make_photo(folder)
    found: dict[str, list[float]] = {name: [] for name in _SHARES}
    with _collector() as url:
        for _ in range(_ROUNDS):
            for name, share in _SHARES.items():
                with _traced(url, share):
                    found[name].append(asyncio.run(embedded_rate(photo)).images_a_second)
    say()
    say(f"The embedded pipeline by the share of traces that are recorded, medians of {_ROUNDS} rounds")
    say(f"{'traces':12}{'images/s':>9}{'of without':>12}")
    for name, rates in found.items():
        ratio = statistics.median(rate / bare for rate, bare in zip(rates, found["without"], strict=True))
        wanted = " (at least 97 % is wanted)" if name == "one of ten" else ""
        say(f"{name:12}{statistics.median(rates):9.1f}{ratio:12.1%}{wanted}")


@contextmanager
def _traced(url: str, share: str | None) -> Iterator[None]:
    """Have this process trace this share of events; None: none at all."""
    if share is None:
        yield
        return
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
