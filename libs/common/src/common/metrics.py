"""The metrics. There is one registry for the process; METRICS_PORT serves it."""

from prometheus_client import Counter, Gauge, Histogram

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
EVENTS = Counter(
    "image_backend_events", "Messages dispatched, by what was decided about them", ["queue", "type", "outcome"]
)
EVENT_SECONDS = Histogram(
    "image_backend_event_seconds",
    "Seconds to handle an event",
    ["queue", "type"],
    buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000),
)
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
SWEPT = Counter("image_backend_swept", "What the sweep found and removed, or repaired instead", ["what"])
REPAIRED = Counter("image_backend_reconciled", "Pending work that was done without an event, by what it was", ["debt"])
