"""Each of Prometheus' alerts fires when something is wrong, alone, and none fires in normal use."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from tests.support.alerts import AFTER, PROGRAM, RULES, WELL, Series, check, counter, gauge, histogram

from common.messaging.topology import QUEUES


def waits(queue: str, *, long: bool = False, minutes: int = AFTER) -> Series:
    labels = f'queue="{queue}",type="T"'
    return histogram("image_backend_event_wait_seconds", labels, (0.3, 300), late=long, minutes=minutes)


def ready(*, late: bool = False, minutes: int = AFTER) -> Series:
    return histogram("image_backend_upload_ready_seconds", 'instance="r"', (1, 100), late=late, minutes=minutes)


STORED = 'image_backend_uploads_total{format="jpg",outcome="stored"}'
FAILED = 'image_backend_uploads_total{format="unknown",outcome="failed"}'
REFUSED = 'image_backend_uploads_total{format="jpg",outcome="refused"}'
NO_ROOM = 'image_backend_uploads_refused_total{reason="no-room",instance="i"}'
PUBLIC = "image_backend_upload_public_seconds_count"
DEATHS = 'image_backend_imaging_worker_deaths_total{instance="r"}'
JOBS = 'image_backend_imaging_jobs_total{operation="render",outcome="ok"}'
STORE_OK = 'image_backend_store_seconds_count{operation="put",outcome="ok"}'
STORE_FAULT = 'image_backend_store_seconds_count{operation="put",outcome="fault"}'
STORE_FULL = 'image_backend_store_seconds_count{operation="put",outcome="full"}'
CONNECTED = 'image_backend_broker_connected{connection="ingest-publish",instance="i"}'
OUTBOX = 'image_backend_outbox_events{instance="i"}'
SWEEP = 'image_backend_maintenance_last_success_timestamp_seconds{task="sweep",instance="p"}'
RECONCILE = 'image_backend_maintenance_last_success_timestamp_seconds{task="reconcile",instance="p"}'

# When something last succeeded: minute by minute; until the change; and in a process that has gone since.
ALWAYS = counter(60)
STOPPED = counter(60, 0)
GONE = f"0+60x{WELL} stale"


def dead_letters(queue: str) -> str:
    return f'image_backend_dead_letters{{queue="{queue}"}}'


def ready_messages(queue: str) -> str:
    return f'rabbitmq_detailed_queue_messages_ready{{queue="{queue}",vhost="/"}}'


def consumers(queue: str) -> str:
    return f'rabbitmq_detailed_queue_consumers{{queue="{queue}",vhost="/"}}'


# An upload a second. Some are broken, some leave the client waiting, and the lanes of what can wait are hours behind.
SITE: Series = {
    STORED: counter(60),
    REFUSED: counter(2),
    FAILED: counter(0.01),
    NO_ROOM: counter(0),
    PUBLIC: counter(40),
    DEATHS: counter(2),
    JOBS: counter(120),
    STORE_OK: counter(600),
    STORE_FAULT: counter(0.1),
    STORE_FULL: counter(0),
    SWEEP: ALWAYS,
    RECONCILE: ALWAYS,
    **{dead_letters(queue.name): gauge(0) for queue in QUEUES},
    **ready(),
    **waits("resizer.live"),
    **waits("publisher"),
    **waits("resizer.bulk", long=True),
}
BROKER: Series = {
    CONNECTED: gauge(1),
    OUTBOX: gauge(0),
    **{ready_messages(queue.name): gauge(3) for queue in QUEUES},
    **{consumers(queue.name): gauge(2) for queue in QUEUES},
    ready_messages("resizer.live.dead"): gauge(3),
    consumers("resizer.live.dead"): gauge(0),
    ready_messages("resizer.live.retry.60s"): gauge(3),
    consumers("resizer.live.retry.60s"): gauge(0),
    ready_messages("elsewhere"): gauge(3),
}


@dataclass(frozen=True)
class Fault:
    """How the series differ since the change, and how many minutes later the alert fires."""

    series: Series
    minutes: int = 14


FAULTS = {
    "ImageBackendUploadsFail": Fault({STORED: counter(60, 30), FAILED: counter(0.01, 10)}),
    "ImageBackendVariantsLate": Fault(ready(late=True)),
    "ImageBackendEventsWait": Fault(waits("publisher", long=True)),
    "ImageBackendQueueUnconsumed": Fault({consumers("resizer.follow-up"): gauge(2, 0)}, 6),
    "ImageBackendDeadLetters": Fault({dead_letters("publisher"): gauge(0, 1)}, 1),
    "ImageBackendDecodersDie": Fault({DEATHS: counter(2, 20)}),
    "ImageBackendStoreFails": Fault({STORE_FAULT: counter(0.1, 30)}),
    "ImageBackendBrokerAway": Fault({CONNECTED: gauge(1, 0)}, 4),
    "ImageBackendOutboxFills": Fault({OUTBOX: gauge(0, 7)}, 6),
    "ImageBackendNothingPublished": Fault({PUBLIC: counter(40, 0)}, 6 * 60 + 11),
    "ImageBackendSweepOverdue": Fault({SWEEP: STOPPED}, 3 * 60 + 32),
    "ImageBackendReconcilerOverdue": Fault({RECONCILE: STOPPED}, 60 + 32),
    "ImageBackendTemporaryFolderFull": Fault({NO_ROOM: counter(0, 5)}, 4),
}
# More ways to the same alerts.
OTHER_FAULTS = [
    ("ImageBackendStoreFails", Fault({STORE_FULL: counter(0, 30)})),
    ("ImageBackendEventsWait", Fault(waits("resizer.live", long=True))),
    ("ImageBackendQueueUnconsumed", Fault({consumers("publisher"): f"2+0x{WELL} stale"}, 11)),
    ("ImageBackendSweepOverdue", Fault({SWEEP: GONE}, 37)),
    ("ImageBackendReconcilerOverdue", Fault({RECONCILE: GONE}, 37)),
]


def test_every_alert_is_tried() -> None:
    (group,) = YAML(typ="safe").load(RULES)["groups"]
    assert set(FAULTS) == {rule["alert"] for rule in group["rules"]}


@pytest.mark.parametrize(("alert", "fault"), [*FAULTS.items(), *OTHER_FAULTS])
def test_an_alert_fires_alone_and_not_before(tmp_path: Path, alert: str, fault: Fault) -> None:
    check(tmp_path, SITE | BROKER | fault.series, {WELL: set(), WELL + fault.minutes: {alert}})


IDLE = {name: counter(0) for name in SITE if not name.startswith(("image_backend_maintenance", "image_backend_dead"))}
RESTARTS: Series = {
    CONNECTED: gauge(1, 0, minutes=2),
    OUTBOX: gauge(0, 120, minutes=2),
    **{consumers(queue.name): gauge(2, 0, minutes=2) for queue in QUEUES},
    STORE_FAULT: counter(0.1, 300, minutes=2),
    FAILED: counter(0.01, 30, minutes=2),
    **ready(late=True, minutes=2),
    **waits("resizer.live", long=True, minutes=2),
    **waits("publisher", long=True, minutes=2),
}
NORMAL = {
    "busy": SITE | BROKER,
    "idle": SITE | BROKER | IDLE,
    "without a broker": SITE,
    "broker and store away for two minutes": SITE | BROKER | RESTARTS,
    "an hour without publications": SITE | BROKER | {PUBLIC: counter(40, 0, minutes=60)},
}


@pytest.mark.parametrize("series", NORMAL.values(), ids=NORMAL)
def test_no_alert_fires_in_normal_use(tmp_path: Path, series: Series) -> None:
    check(tmp_path, series, {minute: set() for minute in (5, *range(WELL, WELL + 20), WELL + 70, WELL + AFTER)})


def test_prometheus_takes_the_configuration() -> None:
    done = subprocess.run(
        [PROGRAM, "check", "config", "deploy/monitoring/prometheus.yml"], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stdout
