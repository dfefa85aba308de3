"""What uploads need of each part, from what one photo costs; docs/capacity.md has where each figure comes from."""

import math
from collections.abc import Collection
from dataclasses import dataclass

from common.images.formats import Format

SIZES = 3  # of the default RESIZING_CONFIG

# CPU milliseconds for a photo of this many megapixels. Decoding grows with them; what is made of it does not.
MEASURED_MEGAPIXELS = 12.0
DECODE_MS = 55.0
ENCODE_MS = {Format.JPG: 15.0, Format.WEBP: 218.0, Format.AVIF: 151.0}  # the default sizes, without decoding
RESIZER_MS = 8.0  # of the service for each stage: fetching, storing, events
INGEST_MS = 14.0
PUBLISHER_MS = 13.0
EVENT_MS = 0.3  # of each ingest, for every event

# Bytes of a photo of that size, and of its three variants in each format.
ORIGINAL_BYTES = 3_412_313
VARIANT_BYTES = {Format.JPG: 585_494, Format.WEBP: 634_362, Format.AVIF: 496_092}

# Of the time of a core, so that a peak does not make events wait.
BUSY = 0.7
RESIZER_CORES = 2  # of one replica
# Requests a second for one prefix of a bucket, as Amazon S3 promises them.
S3_WRITES = 3500.0
S3_READS = 5500.0


@dataclass(frozen=True)
class PhotoCost:
    """What one photo costs from its upload to its activation: CPU milliseconds of each service, and bytes.

    A service's CPU time includes that of its decoders. `event_ms` is what each ingest takes for every event, as it
    hears them all. `formats` are those beside the original's.
    """

    formats: frozenset[Format]
    resizer_ms: float
    ingest_ms: float
    publisher_ms: float
    event_ms: float
    original_bytes: float
    variant_bytes: float

    @property
    def stages(self) -> int:
        """How often the original is rendered."""
        return 2 if self.formats else 1


@dataclass(frozen=True)
class EventCounts:
    """Events of one photo: published, those of them that go to work queues, and the most in one of these."""

    published: int
    queued: int
    busiest: int


@dataclass(frozen=True)
class RequestCounts:
    """Requests for one photo. Writes are PUT, COPY, POST and DELETE, and count for the bucket that they change."""

    incoming_writes: int
    incoming_reads: int
    active_writes: int
    active_reads: int

    @property
    def total(self) -> int:
        """All requests."""
        return self.incoming_writes + self.incoming_reads + self.active_writes + self.active_reads

    def __add__(self, other: "RequestCounts") -> "RequestCounts":
        """Both together."""
        return RequestCounts(
            self.incoming_writes + other.incoming_writes,
            self.incoming_reads + other.incoming_reads,
            self.active_writes + other.active_writes,
            self.active_reads + other.active_reads,
        )


def default_cost(megapixels: float, formats: Collection[Format]) -> PhotoCost:
    """What a photo of so many megapixels costs by the project's own measurements."""
    size, stages, made = megapixels / MEASURED_MEGAPIXELS, 2 if formats else 1, {Format.JPG, *formats}
    return PhotoCost(
        formats=frozenset(formats),
        resizer_ms=stages * (DECODE_MS * size + RESIZER_MS) + sum(ENCODE_MS[each] for each in made),
        ingest_ms=INGEST_MS,
        publisher_ms=PUBLISHER_MS,
        event_ms=EVENT_MS,
        original_bytes=ORIGINAL_BYTES * size,
        variant_bytes=sum(VARIANT_BYTES[each] for each in made),
    )


def count_events(formats: Collection[Format]) -> EventCounts:
    """Those of a photo whose variants are there when it is activated."""
    return EventCounts(published=5, queued=4, busiest=2) if formats else EventCounts(published=3, queued=2, busiest=1)


def count_requests(formats: Collection[Format]) -> RequestCounts:
    """Those of the upload, each rendering, its event at the publisher, and the activation."""
    base = RequestCounts(incoming_writes=3 + SIZES, incoming_reads=10, active_writes=2 + SIZES, active_reads=5)
    written = 1 + SIZES * len(formats)
    modern = RequestCounts(incoming_writes=written, incoming_reads=6, active_writes=written, active_reads=3)
    return base + modern if formats else base


def needs(uploads: float, cost: PhotoCost) -> dict[str, float | None]:
    """What so many uploads a second need of each part, in cores, replicas, and events, requests and bytes a second.

    None where no number of replicas is enough.
    """
    events, requests = count_events(cost.formats), count_requests(cost.formats)
    resizing, publishing = uploads * cost.resizer_ms / 1e3, uploads * cost.publisher_ms / 1e3
    receiving, hearing = uploads * cost.ingest_ms / 1e3, uploads * events.published * cost.event_ms / 1e3
    ingests = math.ceil(receiving / (BUSY - hearing)) if hearing < BUSY else None
    return {
        "resizer_cores_busy": resizing,
        "resizer_replicas": _replicas(resizing, RESIZER_CORES),
        "resizer_bytes_in": uploads * cost.original_bytes * cost.stages,
        "resizer_bytes_out": uploads * cost.variant_bytes,
        "ingest_cores_busy": None if ingests is None else receiving + ingests * hearing,
        "ingest_replicas": ingests,
        "ingest_bytes_in": uploads * cost.original_bytes,
        "ingest_bytes_out": uploads * cost.original_bytes,
        "publisher_cores_busy": publishing,
        "publisher_replicas": _replicas(publishing, 1),
        "broker_published": uploads * events.published,
        "broker_queued": uploads * events.queued,
        "broker_busiest_queue": uploads * events.busiest,
        "broker_copies_to_ingest": None if ingests is None else uploads * events.published * ingests,
        "store_requests": uploads * requests.total,
        "store_writes_incoming": uploads * requests.incoming_writes,
        "store_reads_incoming": uploads * requests.incoming_reads,
        "store_writes_active": uploads * requests.active_writes,
        "store_reads_active": uploads * requests.active_reads,
        "store_bytes_in": uploads * (cost.original_bytes + cost.variant_bytes),
        "store_bytes_out": uploads * cost.original_bytes * cost.stages,
        "store_bytes_a_day": uploads * (cost.original_bytes + cost.variant_bytes) * 86_400,
    }


def limits(cost: PhotoCost) -> dict[str, float]:
    """How many uploads a second each part takes before it gives out: one replica, or all ingests together."""
    hearing, requests = count_events(cost.formats).published * cost.event_ms, count_requests(cost.formats)
    writes, reads = requests.incoming_writes, requests.incoming_reads  # more than in active
    return {
        "resizer": BUSY * RESIZER_CORES * 1e3 / cost.resizer_ms,
        "ingest": BUSY * 1e3 / (cost.ingest_ms + hearing),
        "all_ingests": BUSY * 1e3 / hearing,
        "publisher": BUSY * 1e3 / cost.publisher_ms,
        "store_prefix": min(S3_WRITES / writes, S3_READS / reads),
    }


def _replicas(busy: float, cores: int) -> int:
    return math.ceil(busy / (BUSY * cores))
