"""What the spans of one process are, as its collector gets them."""

import asyncio

from tests.support.collector import Collector

from common import tracing


async def test_a_text_that_is_long_or_no_unicode_costs_no_span() -> None:
    async with Collector.open() as collector:
        tracing.start("photos", f"{collector.url}/v1/traces")
        with tracing.entry("request", tracing.Kind.SERVER, None, path="/\udcff"):
            tracing.record("step", 0.1, {"key": "k" * 5000}, failure="a file called \udcff")
        await asyncio.to_thread(tracing.stop)
    (step,) = collector.named("step")
    (request,) = collector.named("request")
    assert (step.parent, step.failure, len(str(step.attributes["key"]))) == (request.span, "a file called ?", 1000)
    assert request.attributes == {"path": "/?"}


async def test_only_a_request_or_an_event_begins_a_trace() -> None:
    async with Collector.open() as collector:
        tracing.start("photos", f"{collector.url}/v1/traces")
        with tracing.span("alone"):
            tracing.record("alone, too", 0.1)
            assert tracing.trace_id() is None
        with tracing.entry("request", tracing.Kind.SERVER, None), tracing.apart():
            tracing.record("apart", 0.1)
        await asyncio.to_thread(tracing.stop)
        assert tracing.traceparent() is None
    assert [span.name for span in collector.spans] == ["request"]
