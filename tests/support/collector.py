"""A collector of traces: it takes what OpenTelemetry sends over HTTP, and shows the spans."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from tests.support.eventually import eventually
from tests.support.servers import free_port


@dataclass(frozen=True)
class FoundSpan:
    """A span as it was sent. Identifiers are hexadecimal; `parent` is empty for a root, `links` are (trace, span)."""

    service: str
    name: str
    trace: str
    span: str
    parent: str
    links: tuple[tuple[str, str], ...]
    failure: str
    attributes: dict[str, object]


class Collector:
    """The spans that have been sent to `url`."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.spans: list[FoundSpan] = []

    @classmethod
    @asynccontextmanager
    async def open(cls, port: int | None = None) -> AsyncIterator[Self]:
        """A collector on this port, or on one of its own."""
        port = port or free_port()
        collector = cls(port)
        app = web.Application()
        app.router.add_post("/v1/traces", collector._take)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            yield collector
        finally:
            await runner.cleanup()

    def settings(self, **more: str) -> dict[str, str]:
        """The variables that have a service send its spans here soon."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.url, "OTEL_BSP_SCHEDULE_DELAY": "100", **more}

    def named(self, name: str) -> list[FoundSpan]:
        """Those of this name, in the order in which they came."""
        return [span for span in self.spans if span.name == name]

    async def wait_for(self, name: str, count: int = 1) -> list[FoundSpan]:
        """Those of this name, once there are so many."""

        async def enough() -> list[FoundSpan]:
            found = self.named(name)
            return found if len(found) >= count else []

        return await eventually(
            enough, f"{count} spans called {name!r}; there are {sorted(s.name for s in self.spans)}"
        )

    async def _take(self, request: web.Request) -> web.Response:
        self.spans += _spans(ExportTraceServiceRequest.FromString(await request.read()))
        body = ExportTraceServiceResponse().SerializeToString()
        return web.Response(body=body, content_type="application/x-protobuf")


def _spans(sent: ExportTraceServiceRequest) -> Iterator[FoundSpan]:
    for of_service in sent.resource_spans:
        service = _values(of_service.resource.attributes)["service.name"]
        for scope in of_service.scope_spans:
            for span in scope.spans:
                yield FoundSpan(
                    service=str(service),
                    name=span.name,
                    trace=span.trace_id.hex(),
                    span=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
                    failure=span.status.message,
                    attributes=_values(span.attributes),
                )


def _values(given: "list[KeyValue]") -> dict[str, object]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value") or "string_value") for one in given}
