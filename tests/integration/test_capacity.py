"""What `capacity` calculates with is what the code does and the documents tell."""

import json
import os
import re
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.every_call import Site, upload
from tests.support.instant_pool import InstantPool
from tests.support.preloaded import run_loaded
from tests.support.s3 import TestBuckets
from tests.support.stores import s3_pair

from common.images.formats import Format, Output
from common.images.plan import Plan
from common.images.sizes import parse_sizes
from common.messaging.embedded import EmbeddedBus
from common.messaging.events import Event, ImageUploaded, ThumbnailsReady, ThumbnailsRequested
from common.messaging.outbox import Outbox
from common.messaging.topology import QUEUES, routing_key
from common.storage.s3 import connect
from common.storage.status import read_status
from publisher.activation import activate
from publisher.context import PublisherContext
from publisher.handlers import thumbnails_ready
from resizer import capacity
from resizer.capacity import EventCounts, RequestCounts, count_events, count_requests
from resizer.handlers import image_uploaded, thumbnails_requested
from resizer.rendering import Renderer
from resizer.thumbnails import ResizerContext

PAGE = Path("docs/capacity.md").read_text()
EXPECTED = "expected a number from 0.000001 to 1000000000"
_READS = {"GetObject", "HeadObject"}


class Published(EmbeddedBus):
    """Keeps what is published."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Event] = []

    async def publish(self, event: Event) -> None:
        self.events.append(event)


async def to_public(site: Site, plan: Plan) -> list[Event]:
    """The events of a photo from its upload to its activation, each handled before the next."""
    bus, renderers = Published(), InstantPool()
    outbox = Outbox(bus)
    site.uploads = replace(site.uploads, outbox=outbox)
    resizing: Any = ResizerContext(site.buckets, bus, Renderer(renderers, plan))  # type: ignore[arg-type]
    publishing = PublisherContext(buckets=site.buckets, bus=bus, outbox=outbox, plan=plan, ttl=3600.0)
    image = await upload(site)
    for event in bus.events:  # which grows meanwhile
        match event:
            case ImageUploaded():
                await image_uploaded(event, context=resizing)
            case ThumbnailsRequested():
                await thumbnails_requested(event, context=resizing)
            case ThumbnailsReady():
                await thumbnails_ready(event, context=publishing)
            case _:
                raise AssertionError(event)
    await activate(image, context=publishing, wait=2.0)
    return bus.events


@pytest.mark.parametrize("formats", [(), (Format.AVIF,), (Format.WEBP, Format.AVIF)], ids=str)
async def test_a_photo_takes_the_requests_and_events_that_are_counted(
    formats: tuple[Format, ...], s3_buckets: TestBuckets, tmp_path: Path
) -> None:
    sent: Counter[tuple[str, str]] = Counter()

    def count(params: dict[str, str], model: Any, **_: object) -> None:
        sent["read" if model.name in _READS else "write", params["Bucket"]] += 1

    async with connect(s3_buckets.account) as client:
        client.meta.events.register("before-parameter-build.s3", count)
        site = Site(tmp_path / "site", s3_pair(client, s3_buckets.account, s3_buckets, tmp_path))
        plan = Plan(parse_sizes(None), tuple(Output(format=each, quality=80) for each in formats))
        events = await to_public(site, plan)
    buckets = s3_buckets.incoming, s3_buckets.active
    counted = [sent[kind, bucket] for bucket in buckets for kind in ("write", "read")]
    assert RequestCounts(*counted) == count_requests(formats)
    queued = Counter(queue.name for event in events for queue in QUEUES if routing_key(event) in queue.routing_keys)
    assert EventCounts(len(events), queued.total(), max(queued.values())) == count_events(formats)


@pytest.mark.parametrize(("formats", "reads"), [((), 3), ((Format.AVIF,), 4)], ids=str)
async def test_an_upload_that_waits_takes_the_reads_that_the_page_tells(
    formats: tuple[Format, ...], reads: int, tmp_path: Path
) -> None:
    site = Site(tmp_path)
    image = await upload(site)
    site.counts()
    plan = Plan(parse_sizes(None), tuple(Output(format=each, quality=80) for each in formats))
    await read_status(image, buckets=site.buckets, plan=plan)
    assert site.counts().total() == reads
    assert "of 3 reads in *incoming*, or 4 with WebP or AVIF" in PAGE


def test_the_defaults_are_the_figures_of_the_documents() -> None:
    text = Path("docs/performance.md").read_text().partition("\n## What capacity goes by\n")[2].partition("\n## ")[0]
    told = {
        cells[0].strip(): [float(cell.replace(",", "")) for cell in cells[1:] if cell.strip()]
        for cells in (line.strip("|").split("|")[:3] for line in text.splitlines() if line.startswith("| "))
        if cells[0].strip() and "CPU" not in cells[1]
    }
    made = {name: [capacity.ENCODE_MS[name], capacity.VARIANT_BYTES[name]] for name in capacity.ENCODE_MS}
    assert told == {
        "decoding the original, for each stage": [capacity.DECODE_MS, capacity.ORIGINAL_BYTES],
        "the three variants in JPEG": made[Format.JPG],
        "the three variants in WebP": made[Format.WEBP],
        "the three variants in AVIF": made[Format.AVIF],
        "resizer without decoders, for each stage": [capacity.RESIZER_MS],
        "ingest and its decoders": [capacity.INGEST_MS],
        "publisher": [capacity.PUBLISHER_MS],
        "ingest, for each event": [capacity.EVENT_MS],
    }


async def run(*options: str) -> subprocess.CompletedProcess[str]:
    return await run_loaded("resizer", "capacity", *options, environment=os.environ, folder=Path())


async def test_the_page_shows_what_the_command_prints() -> None:
    blocks = re.findall(r"^```\n\$ \S+ -m resizer capacity (.+)\n((?:.*\n)+?)```$", PAGE, re.MULTILINE)
    assert len(blocks) == 2
    for options, shown in blocks:
        assert (await run(*options.split())).stdout == shown


async def test_measured_figures_take_the_place_of_the_defaults() -> None:
    measured = {
        "--cpu-ms-per-photo": "100",
        "--ingest-cpu-ms": "10",
        "--publisher-cpu-ms": "20",
        "--event-cpu-ms": "1",
        "--bytes-per-photo": "2000000",
        "--variant-bytes-per-photo": "500000",
    }
    options = [text for pair in measured.items() for text in pair]
    found = await run("--uploads-per-second", "10", "--megapixels", "48", *options, "--json")
    answer = json.loads(found.stdout)
    assert answer["photo"] == {
        "formats": [],
        "resizer_ms": 100.0,
        "ingest_ms": 10.0,
        "publisher_ms": 20.0,
        "event_ms": 1.0,
        "original_bytes": 2e6,
        "variant_bytes": 5e5,
    }
    needs = answer["needs"]
    assert (needs["resizer_cores_busy"], needs["resizer_replicas"]) == (1.0, 1)
    assert (needs["ingest_bytes_in"], needs["store_bytes_in"]) == (2e7, 2.5e7)


async def test_more_than_all_ingests_can_take_is_told() -> None:
    found = await run("--uploads-per-second", "10", "--event-cpu-ms", "100", "--json")
    assert found.returncode == 0
    assert json.loads(found.stdout)["needs"]["ingest_replicas"] is None


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ("", "the following arguments are required: --uploads-per-second"),
        ("--uploads-per-second 0", f"argument --uploads-per-second: '0': {EXPECTED}"),
        ("--uploads-per-second nan", f"argument --uploads-per-second: 'nan': {EXPECTED}"),
        ("--uploads-per-second 1e300", f"argument --uploads-per-second: '1e300': {EXPECTED}"),
        ("--uploads-per-second 1 --megapixels twelve", f"argument --megapixels: 'twelve': {EXPECTED}"),
        ("--uploads-per-second 1 --formats gif", "argument --formats: invalid choice: 'gif'"),
    ],
)
async def test_what_cannot_be_calculated_is_named(options: str, complaint: str) -> None:
    found = await run(*options.split())
    assert (found.returncode, found.stdout) == (2, "")
    assert complaint in found.stderr
