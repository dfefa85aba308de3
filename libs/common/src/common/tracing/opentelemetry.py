"""The spans as OpenTelemetry makes them, sent in batches over HTTP (OTLP) by a thread of its own.

While a collector is away, only spans are lost: the queue is bounded, and the code that makes a span
never waits.
"""

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import structlog
from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from common.errors import SettingsError
from common.tracing.spans import NO_SPAN, Attribute, Kind, Span
from common.version import VERSION

log = structlog.get_logger()

_STOP_SECONDS = 3.0
_COMPLAINT_SECONDS = 60.0
_NANOSECONDS = 1_000_000_000
_LONGEST = 1000  # characters of a text: some come from outside
_KINDS = {Kind.SERVER: trace.SpanKind.SERVER, Kind.CONSUMER: trace.SpanKind.CONSUMER}
_NOTHING = nullcontext(NO_SPAN)


class OpenTelemetryRecorder:
    """Makes the spans of one service, and sends them to the collector at `endpoint`. Raises SettingsError."""

    def __init__(self, service: str, endpoint: str) -> None:
        _log_seldom(service)
        for name in [name for name in os.environ if name.startswith("OTEL_") and not os.environ[name].strip()]:
            del os.environ[name]  # an empty value is unset, which OpenTelemetry does not know
        try:
            # A name of the service that is given by the variables counts more.
            named = Resource(
                {"service.name": service, "service.version": VERSION, "service.namespace": "image-backend"}
            )
            resource = Resource.create().merge(named).merge(OTELResourceDetector().detect())
            self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
            self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
        except ValueError as error:
            raise SettingsError([f"a variable of OpenTelemetry (OTEL_…) cannot be used: {error}"]) from error
        self._tracer = self._provider.get_tracer("image-backend", VERSION)

    def entry(
        self, name: str, kind: Kind, parent: str | None, attributes: dict[str, Attribute]
    ) -> AbstractContextManager[Span]:
        """As `common.tracing.entry`."""
        return self._current(name, _context(parent), _KINDS[kind], attributes)

    def span(self, name: str, attributes: dict[str, Attribute]) -> AbstractContextManager[Span]:
        """As `common.tracing.span`."""
        if not trace.get_current_span().is_recording():
            return _NOTHING
        return self._current(name, None, trace.SpanKind.INTERNAL, attributes)

    def record(
        self,
        name: str,
        seconds: float,
        attributes: dict[str, Attribute],
        *,
        until: float,
        parent: str | None,
        failure: str | None,
    ) -> None:
        """As `common.tracing.record`."""
        context = None if parent is None else _context(parent)
        if not context and not trace.get_current_span().is_recording():
            return
        end = time.time_ns() - round(until * _NANOSECONDS)
        begin = max(0, end - round(seconds * _NANOSECONDS))
        made = self._tracer.start_span(name, context or None, attributes=_sendable(attributes), start_time=begin)
        if failure is not None:
            _RecordedSpan(made).fail(failure)
        made.end(end)

    def link(self, traceparent: str) -> None:
        """As `common.tracing.link`."""
        target = trace.get_current_span(_context(traceparent)).get_span_context()
        if target.is_valid:
            trace.get_current_span().add_link(target)

    @contextmanager
    def apart(self) -> Iterator[None]:
        """As `common.tracing.apart`."""
        token = attach(Context())
        try:
            yield
        finally:
            detach(token)

    def traceparent(self) -> str | None:
        """As `common.tracing.traceparent`."""
        headers: dict[str, str] = {}
        _PROPAGATOR.inject(headers)
        return headers.get("traceparent")

    def stop(self) -> None:
        """As `common.tracing.stop`. Left to itself, the library waits half a minute for a collector that is away."""
        sending = threading.Thread(target=self._provider.shutdown, daemon=True)
        sending.start()
        sending.join(_STOP_SECONDS)

    @contextmanager
    def _current(
        self, name: str, context: Context | None, kind: trace.SpanKind, attributes: dict[str, Attribute]
    ) -> Iterator[Span]:
        with self._tracer.start_as_current_span(
            name, context, kind, _sendable(attributes), record_exception=False, set_status_on_exception=False
        ) as made:
            span = _RecordedSpan(made)
            try:
                yield span
            except BaseException as error:
                span.fail(str(error) or type(error).__name__)
                raise


class _RecordedSpan(Span):
    def __init__(self, made: trace.Span) -> None:
        self._made = made

    def tell(self, **attributes: Attribute) -> None:
        self._made.set_attributes(_sendable(attributes))

    def fail(self, reason: str) -> None:
        self._made.set_status(trace.StatusCode.ERROR, _text(reason))


def _sendable(attributes: dict[str, Attribute]) -> dict[str, Attribute]:
    return {name: _text(value) if isinstance(value, str) else value for name, value in attributes.items()}


def _text(value: str) -> str:
    """The text as it can be sent: of one that is no Unicode, such as a path, all spans of a batch would be lost."""
    return value[:_LONGEST].encode(errors="replace").decode()


_PROPAGATOR = TraceContextTextMapPropagator()


def _context(parent: str | None) -> Context:
    """The context whose current span is the one that `parent` names; an empty one where it names none."""
    empty = Context()
    return empty if parent is None else _PROPAGATOR.extract({"traceparent": parent}, empty)


class _SeldomHandler(logging.Handler):
    """Logs at most one complaint a minute: of a collector that is away there is one for each batch."""

    def __init__(self, service: str) -> None:
        super().__init__(logging.WARNING)
        self._log = log.bind(service=service)  # the thread that sends has no bound variables
        self._quiet_until = 0.0

    def emit(self, complaint: logging.LogRecord) -> None:
        if (now := time.monotonic()) >= self._quiet_until:
            self._quiet_until = now + _COMPLAINT_SECONDS
            self._log.warning("spans may be lost", reason=complaint.getMessage())


def _log_seldom(service: str) -> None:
    library = logging.getLogger("opentelemetry")
    library.propagate = False
    library.handlers = [_SeldomHandler(service)]
    logging.getLogger("urllib3").setLevel(logging.ERROR)
