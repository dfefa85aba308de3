"""The metrics. There is one registry for the process; METRICS_PORT serves it."""

import platform

from prometheus_client import Counter, Gauge, Histogram

from common.version import VERSION

# From a second to more than a day.
_LONG = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3600, 10_000, 30_000, 100_000)

HTTP_REQUESTS = Counter(
    "image_backend_http_requests", "HTTP requests answered", ["service", "method", "route", "status"]
)
# Buckets reach from the quickest measured time to the longest allowed: an upload UPLOAD_TIMEOUT, and a
# stream of events an hour.
HTTP_SECONDS = Histogram(
    "image_backend_http_seconds",
    "Seconds to answer an HTTP request",
    ["service", "route"],
    buckets=(0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3600),
)
HTTP_DROPPED = Counter(
    "image_backend_http_dropped", "Connections closed because there were too many, by which one it was", ["which"]
)
UPLOADS = Counter("image_backend_uploads", "Uploads by what they are and how they ended", ["format", "outcome"])
UPLOADS_REFUSED = Counter("image_backend_uploads_refused", "Uploads that were refused, by the reason", ["reason"])
UPLOAD_BYTES = Counter("image_backend_upload_bytes", "Bytes of uploads that were stored", ["format"])
UPLOAD_READY_SECONDS = Histogram(
    "image_backend_upload_ready_seconds",
    "Seconds from the moment an upload was stored until its base variants were",
    buckets=_LONG,
)
UPLOAD_PUBLIC_SECONDS = Histogram(
    "image_backend_upload_public_seconds",
    "Seconds from the moment an upload was stored until it was published",
    buckets=_LONG,
)
COMMAND_SECONDS = Histogram(
    "image_backend_command_seconds",
    "Seconds to carry out a call of the API server, by how it ended",
    ["command", "outcome"],
    buckets=(0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300),
)
EVENTS = Counter(
    "image_backend_events", "Messages dispatched, by what was decided about them", ["queue", "type", "outcome"]
)
EVENT_SECONDS = Histogram(
    "image_backend_event_seconds",
    "Seconds to handle an event",
    ["queue", "type"],
    buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000),
)
EVENT_WAIT_SECONDS = Histogram(
    "image_backend_event_wait_seconds",
    "Seconds from the moment an event was made until its first attempt",
    ["queue", "type"],
    buckets=_LONG,
)
EVENT_RETRIES = Counter("image_backend_event_retries", "Attempts that are to be repeated", ["queue", "cause"])
DEAD_LETTERS = Gauge("image_backend_dead_letters", "Events that could not be handled, by their queue", ["queue"])
OUTBOX = Gauge("image_backend_outbox_events", "Events that wait for the broker to take them")
BROKER_CONNECTED = Gauge("image_backend_broker_connected", "1 while a connection to the broker is up", ["connection"])
IMAGING_JOBS = Counter("image_backend_imaging_jobs", "Jobs given to a decoding process", ["operation", "outcome"])
IMAGING_SECONDS = Histogram(
    "image_backend_imaging_seconds",
    "Seconds a decoding process took for a job",
    ["operation"],
    buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000),
)
IMAGING_CPU = Counter("image_backend_imaging_cpu_seconds", "CPU seconds of jobs that ended well", ["operation"])
IMAGING_DEATHS = Counter("image_backend_imaging_worker_deaths", "Decoding processes that died or were killed")
IMAGING_WORKERS = Gauge("image_backend_imaging_workers", "The most decoding processes at once", ["pool"])
IMAGING_BUSY = Gauge("image_backend_imaging_workers_busy", "Decoding processes that have a job", ["pool"])
IMAGING_MEMORY = Gauge(
    "image_backend_imaging_workers_memory_bytes",
    "Memory that decoding processes have in use, as it is when the metrics are asked for",
    ["pool"],
)
HEAVY_WAITING = Gauge("image_backend_heavy_images_waiting", "Heavy images that wait for their turn to be rendered")
RENDER_CPU = Counter(
    "image_backend_render_cpu_seconds",
    "CPU seconds of renderings that ended well, by the original's format",
    ["format", "stage"],
)
STORE_SECONDS = Histogram(
    "image_backend_store_seconds",
    "Seconds that the store took for an operation on a bucket, by how it ended",
    ["operation", "outcome"],
    buckets=(0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000),
)
MAINTENANCE = Gauge(
    "image_backend_maintenance_last_success_timestamp_seconds",
    "When the publisher last went through its buckets to the end, without a fault",
    ["task"],
)
SWEPT = Counter("image_backend_swept", "What the sweep found and removed, or repaired instead", ["what"])
REPAIRED = Counter("image_backend_reconciled", "Pending work that was done without an event, by what it was", ["debt"])
BUILD = Gauge("image_backend_build_info", "Which build this is", ["version", "python"])
BUILD.labels(version=VERSION, python=platform.python_version()).set(1)
