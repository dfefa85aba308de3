"""One trace from a browser's request to the last object, through queues, faults and the end of a process."""

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from tests.support.collector import Collector
from tests.support.deployment import Deployment
from tests.support.eventually import eventually
from tests.support.proxy import Proxy
from tests.support.repaired import start_and_repair
from tests.support.servers import free_port
from tests.support.store_faults import proxy_to, refuses_the_key
from tests.support.traces import SPAN, TRACE, TRACEPARENT, all_sent, publish, tree, upload

from common.images.names import ImageKey
from common.messaging.events import ActivationRequested
from common.messaging.rabbit import RabbitBus


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    async with Collector.open() as opened:
        yield opened


@asynccontextmanager
async def deployed_before_a_proxy(folder: Path, collector: Collector) -> AsyncIterator[tuple[Deployment, Proxy]]:
    """A deployment whose resizer reaches its store through the proxy."""
    async with Deployment.prepared("rabbit-s3", folder, **collector.settings()) as deployment:
        assert deployment.s3 is not None
        async with proxy_to(deployment.s3) as proxy:
            await deployment.start("ingest", "publisher")
            await start_resizer(deployment, proxy)
            yield deployment, proxy


async def start_resizer(deployment: Deployment, proxy: Proxy) -> None:
    await deployment.start("resizer", STORE_ENDPOINT=f"http://127.0.0.1:{proxy.port}")


@pytest.mark.parametrize("kind", ["rabbit-s3", "rabbit-local", "embedded"])
async def test_an_upload_is_one_tree_to_the_last_object(kind: str, tmp_path: Path, collector: Collector) -> None:
    async with Deployment.prepared(kind, tmp_path, **collector.settings(GENERATE_WEBP="1")) as deployment:
        if deployment.in_one_process:
            await start_and_repair(deployment)
        else:
            await deployment.start("ingest", "publisher")
        name = await upload(deployment)
        await publish(deployment, name, TRACEPARENT)
        if not deployment.in_one_process:
            await deployment.start("resizer")  # so that the variants follow the original
        await deployment.wait_for(deployment.buckets.active, f"{name[:-4]}.modern.json")
        await collector.wait_for("handle ThumbnailsReady", 2)
        await all_sent(deployment)
    found = tree(collector.spans)
    assert {span.trace for span in collector.spans} == {TRACE}
    assert found["POST /upload"] == found["POST /publish"] == {"the browser"}
    assert found["receive"] == found["decoder probe"] == found["store put_file"] & {"POST /upload"} == {"POST /upload"}
    assert found["handle ImageUploaded"] == {"POST /upload"}
    assert found["handle ThumbnailsRequested"] == {"handle ImageUploaded"}
    assert found["handle ThumbnailsReady"] == {"handle ImageUploaded", "handle ThumbnailsRequested"}
    assert found["wait in queue"] == {"POST /upload", "handle ImageUploaded", "handle ThumbnailsRequested"}
    assert found["store fetch"] >= {"handle ImageUploaded", "handle ThumbnailsRequested"}
    assert found["render base"] == {"handle ImageUploaded"}
    assert found["render modern"] == {"handle ThumbnailsRequested"}
    assert found["decoder render_unless_heavy"] == found["decode"] == {"render base", "render modern"}
    for suffix in ("BI", "MI", "SI"):
        assert found[f"variant {suffix}.jpg"] == {"render base"}
        assert found[f"variant {suffix}.webp"] == {"render modern"}
    assert found["copy the original"] == {"POST /publish"}
    assert found["copy the variants"] >= {"POST /publish"}
    if kind != "embedded":  # where the variants may be there already when the image is published
        assert "handle ThumbnailsReady" in found["copy the variants"]
    services = {span.service for span in collector.spans}
    assert services == ({"standalone"} if kind == "embedded" else {"ingest", "resizer", "publisher"})
    stored = [span.attributes for span in collector.spans if span.name.startswith("store put")]
    assert {name, f"{name[:-4]}.json", f"{name[:-4]}.modern.json"} <= {about.get("key") for about in stored}


async def test_an_activation_of_another_trace_is_linked_to_the_upload(tmp_path: Path, collector: Collector) -> None:
    other = "0af7651916cd43dd8448eb211c80319c"
    async with Deployment.prepared("rabbit-local", tmp_path, **collector.settings()) as deployment:
        await deployment.start()
        name, second = await upload(deployment), await upload(deployment)
        for one in (name, second):
            await deployment.wait_for(deployment.buckets.incoming, f"{one[:-4]}.json")
        await publish(deployment, name, f"00-{other}-{SPAN}-01")
        assert deployment.vhost is not None
        bus = RabbitBus(deployment.vhost.url, "site")
        bus.start()
        try:
            await eventually(lambda: connected(bus), "a connection")
            image, traceparent = ImageKey.parse(second), f"00-{other}-b7ad6b7169203331-01"
            await bus.publish(ActivationRequested(source="/site", subject=image, traceparent=traceparent))
        finally:
            await bus.close()
        await deployment.wait_for(deployment.buckets.active, f"{second[:-4]}.json")
        await all_sent(deployment)
    (published,) = collector.named("POST /publish")
    (handled,) = collector.named("handle ActivationRequested")
    assert (published.trace, published.parent, handled.trace, handled.parent) == (
        other,
        SPAN,
        other,
        "b7ad6b7169203331",
    )
    rendered = {(span.trace, span.span) for span in collector.named("handle ImageUploaded")}
    assert {*published.links, *handled.links} == rendered


async def connected(bus: RabbitBus) -> bool:
    return bus.trouble() is None


@pytest.mark.parametrize("traceparent", [TRACEPARENT, ""], ids=["of a browser", "of the service"])
async def test_a_retry_is_in_the_same_trace_and_linked_to_what_failed(
    traceparent: str, tmp_path: Path, collector: Collector
) -> None:
    async with deployed_before_a_proxy(tmp_path, collector) as (deployment, proxy):
        await refuses_the_key(proxy)
        name = await upload(deployment, traceparent)
        await collector.wait_for("handle ImageUploaded")
        proxy.leave()
        await deployment.wait_for(deployment.buckets.incoming, f"{name[:-4]}.json")
        await collector.wait_for("handle ThumbnailsReady")
        await all_sent(deployment)
    (request,) = collector.named("POST /upload")
    tree(collector.spans, request.trace, request.parent)
    assert {span.trace for span in collector.spans} == {request.trace}
    attempts = collector.named("handle ImageUploaded")
    assert len(attempts) >= 2
    assert all(attempt.parent == request.span for attempt in attempts)
    for failed, following in pairwise(attempts):
        assert failed.attributes["outcome"] == "retry"
        assert failed.failure
        assert following.links == ((request.trace, failed.span),)
    assert attempts[-1].attributes["outcome"] == "done"


async def test_a_trace_goes_on_after_a_service_was_killed(tmp_path: Path, collector: Collector) -> None:
    async with deployed_before_a_proxy(tmp_path, collector) as (deployment, proxy):
        proxy.stall()
        name = await upload(deployment)
        await collector.wait_for("wait in queue")  # it has the event in hand
        await deployment.processes["resizer"].kill()
        proxy.flow()
        await start_resizer(deployment, proxy)
        await deployment.wait_for(deployment.buckets.incoming, f"{name[:-4]}.json")
        await collector.wait_for("handle ThumbnailsReady")
        await all_sent(deployment)
    found = tree(collector.spans)
    assert {span.trace for span in collector.spans} == {TRACE}
    assert found["handle ThumbnailsReady"] == {"handle ImageUploaded"}


async def test_the_trace_is_in_logs_errors_records_and_the_status(tmp_path: Path, collector: Collector) -> None:
    async with Deployment.prepared("embedded", tmp_path, **collector.settings()) as deployment:
        await deployment.start()
        name = await upload(deployment)
        await deployment.wait_for(deployment.buckets.incoming, f"{name[:-4]}.json")
        record = json.loads(await deployment.buckets.incoming.get(f"{name[:-4]}.json"))
        assert record["traceparent"].split("-")[1] == TRACE
        url, headers = deployment.url("ingest"), {"traceparent": TRACEPARENT}
        async with deployment.http.get(f"{url}/status/{name}") as answer:
            assert (await answer.json())["trace_id"] == TRACE
        for call in ("/status/nonsense", "/nowhere"):
            async with deployment.http.get(f"{url}{call}", headers=headers) as answer:
                assert answer.status >= 400
                assert (await answer.json())["trace_id"] == TRACE
        lines = deployment.processes["standalone"].lines()
        for event in ("original stored", "thumbnails made"):
            assert [line["trace_id"] for line in lines if line["event"] == event] == [TRACE]


@pytest.mark.parametrize(
    "traceparent", ["nonsense", f"ff-{TRACE}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01", f"{TRACEPARENT}-more", "\t"]
)
async def test_a_malformed_traceparent_is_ignored(traceparent: str, tmp_path: Path, collector: Collector) -> None:
    async with Deployment.prepared("embedded", tmp_path, **collector.settings()) as deployment:
        await deployment.start()
        name = await upload(deployment, traceparent)
        await deployment.wait_for(deployment.buckets.incoming, f"{name[:-4]}.json")
        await all_sent(deployment)
    (request,) = collector.named("POST /upload")
    (handled,) = collector.named("handle ImageUploaded")
    assert request.parent == ""
    assert (handled.trace, handled.parent) == (request.trace, request.span)


async def test_what_is_not_sampled_leaves_no_span_and_keeps_its_trace(tmp_path: Path, collector: Collector) -> None:
    settings = collector.settings(OTEL_TRACES_SAMPLER="parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG="0")
    async with Deployment.prepared("embedded", tmp_path, **settings, OTEL_SERVICE_NAME="photos") as deployment:
        await deployment.start()
        unsampled, sampled = await upload(deployment, ""), await upload(deployment)
        for name in (unsampled, sampled):
            await deployment.wait_for(deployment.buckets.incoming, f"{name[:-4]}.json")
        lines = deployment.processes["standalone"].lines()
        traces = {line["image"]: line["trace_id"] for line in lines if line["event"] == "original stored"}
        assert traces[unsampled] not in {None, TRACE}
        assert {line["trace_id"] for line in lines if line.get("image") == unsampled} == {traces[unsampled]}
        await all_sent(deployment)
    tree(collector.spans)
    assert {span.trace for span in collector.spans} == {TRACE}
    assert {span.service for span in collector.spans} == {"photos"}


@pytest.mark.parametrize("is_silent", [False, True], ids=["away", "silent"])
async def test_without_its_collector_a_service_does_all_it_has_to(*, is_silent: bool, tmp_path: Path) -> None:
    # The system accepts what comes to a listening socket. Nobody reads it.
    silent = socket.create_server(("127.0.0.1", 0)) if is_silent else None
    port = free_port() if silent is None else silent.getsockname()[1]
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}", "OTEL_BSP_SCHEDULE_DELAY": "50"}
    # The queue is full at once, and every span beyond it is a complaint of the library.
    settings |= {"OTEL_BSP_MAX_QUEUE_SIZE": "4", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "2"}
    async with Deployment.prepared("embedded", tmp_path, **settings) as deployment:
        await deployment.start()
        names = [await upload(deployment) for _ in range(3)]
        for name in names:
            await publish(deployment, name, TRACEPARENT)
            await deployment.wait_for(deployment.buckets.active, f"{name[:-4]}.json")
        assert await deployment.processes["standalone"].terminate() == 0
        lines = deployment.processes["standalone"].lines()
    assert [line for line in lines if line["level"] == "error"] == []
    complaints = [line for line in lines if line["event"] == "spans may be lost"]
    assert len(complaints) == 1
    assert complaints[0]["service"] == "standalone"
    if silent is not None:
        silent.close()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"},
            "OTEL_EXPORTER_OTLP_ENDPOINT cannot be used: expected http",
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector", "OTEL_BSP_MAX_QUEUE_SIZE": "4"}, "max_queue_size"),
    ],
    ids=["no URL", "a queue smaller than what is sent at once"],
)
async def test_a_variable_that_cannot_be_used_stops_the_start(
    settings: dict[str, str], named: str, tmp_path: Path
) -> None:
    async with Deployment.prepared("embedded", tmp_path, **settings) as deployment:
        process = await deployment.launch("standalone")

        async def ended() -> bool:
            return not process.running

        await eventually(ended, "the end")
        assert await process.terminate() == 2
        assert named in process.log.read_text()
