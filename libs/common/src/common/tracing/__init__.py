"""Traces, where a collector is named: spans of what is done for an image, from the request to the last object.

Without a collector, everything here does nothing, and OpenTelemetry is not loaded. A span is made within another one
alone; only requests and events begin a trace. So what runs in the background leaves none.
"""

from common.tracing.spans import (
    NO_SPAN,
    Attribute,
    Kind,
    Span,
    apart,
    entry,
    link,
    record,
    span,
    start,
    stop,
    trace_id,
    trace_id_of,
    traceparent,
)

__all__ = [
    "NO_SPAN",
    "Attribute",
    "Kind",
    "Span",
    "apart",
    "entry",
    "link",
    "record",
    "span",
    "start",
    "stop",
    "trace_id",
    "trace_id_of",
    "traceparent",
]
