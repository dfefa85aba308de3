"""What the code has, the documents tell, and nothing else: metrics, calls, events, queues, commands and options."""

import asyncio
import os
import re
import shlex
from collections.abc import Iterator
from contextlib import AsyncExitStack
from functools import cache
from pathlib import Path
from typing import get_args

import pytest
from prometheus_client import Counter
from prometheus_client.metrics import MetricWrapperBase
from tests.support.preloaded import SERVICES, run_loaded

from common import metrics
from common.errors import FailureClass
from common.http.api import calls
from common.http.app import Health, make_app
from common.images.records import RECORD_ENDINGS, Record
from common.messaging.embedded import EmbeddedBus
from common.messaging.events import Event, Lane
from common.messaging.topology import QUEUES, RETRY_DELAYS
from common.sandbox.protocol import OPERATIONS
from common.settings.base import read_settings
from common.storage.base import Buckets
from common.storage.local import LocalStorage
from common.storage.status import State
from ingest.bootstrap import ingest
from publisher.audit.findings import FindingClass
from publisher.bootstrap import publisher
from publisher.maintenance import repairs
from publisher.maintenance.sweep import SweepAction
from resizer.bootstrap import resizer
from standalone.settings import DEFAULTS, StandaloneSettings

DOCUMENTS = [Path("README.md"), *sorted(Path("docs").glob("*.md"))]


def rows(document: str, begins: str, section: str = "") -> Iterator[list[str]]:
    """The cells of the rows whose first cell begins so, in all of the document or under this heading."""
    text = Path(document).read_text()
    if section:
        text = text.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    for line in text.splitlines():
        if line.startswith(f"| {begins}"):
            yield [cell.strip() for cell in line.strip("|").split(" | ")]


def test_every_metric_with_its_labels() -> None:
    known = {
        metric._name + ("_total" if isinstance(metric, Counter) else ""): set(metric._labelnames)  # noqa: SLF001
        for metric in vars(metrics).values()
        if isinstance(metric, MetricWrapperBase)
    }
    told = {
        cells[0].strip("`"): set(re.findall(r"`(\w+)`", cells[1])) for cells in rows("docs/operations.md", "`image_")
    }
    assert told == known


def test_every_value_of_labels_that_are_ours() -> None:
    (swept,) = rows("docs/operations.md", "`image_backend_swept_total`")
    assert {action.value for action in SweepAction if action is not SweepAction.LEAVE_ALONE} <= set(
        re.findall(r"`(\w+)`", swept[2])
    )
    (repaired,) = rows("docs/operations.md", "`image_backend_reconciled_total`")
    counted = re.findall(r"_count\(\"(\w+)\"\)", Path(repairs.__file__).read_text())
    assert set(counted) == set(re.findall(r"`(\w+)`", repaired[2]))
    (decoded,) = rows("docs/operations.md", "`image_backend_imaging_seconds`")
    ours = {name.partition(":")[2] for name in OPERATIONS if not name.startswith("tests.")}
    assert ours == set(re.findall(r"`(\w+)`", decoded[2])) - {"operation"}
    told = Path("docs/imaging.md").read_text()
    assert all(f"`{fault}`" in told for fault in (*FailureClass, "no-such-stage"))


async def test_every_call(tmp_path: Path) -> None:
    settings = read_settings(StandaloneSettings, DEFAULTS | {"TEMP_FOLDER": str(tmp_path / "temp")})
    buckets = Buckets(LocalStorage.open(tmp_path / "in"), LocalStorage.open(tmp_path / "out"))
    bus = EmbeddedBus()
    served: dict[tuple[str, str], set[str]] = {}
    async with AsyncExitStack() as stack:
        for wiring in (ingest, resizer, publisher):
            service = await stack.enter_async_context(wiring(settings, bus=bus, buckets=buckets))
            health = Health(storage=buckets.check, broker=bus.trouble, decoders=lambda: None)
            for route in make_app(service.name, service.routes, health, settings).router.routes():
                if route.method not in ("HEAD", "*") and route.resource is not None:
                    call = route.method, re.sub(r"{(\w+)}", lambda name: name[1].upper(), route.resource.canonical)
                    served.setdefault(call, set()).add(service.name)
    told = {
        call: cells[1]
        for verb in ("GET", "POST")
        for cells in rows("docs/http-api.md", f"`{verb} ")
        for call in re.findall(r"`(GET|POST) ([/\w.]+)`", cells[0])
    }
    assert told.pop(("GET", "/metrics")) == "all, on `METRICS_PORT`"
    assert set(told) == set(served)
    described = {(call.method, re.sub(r"{(\w+)}", lambda name: name[1].upper(), call.path)) for call in calls.ALL}
    assert described == set(served)
    for call, where in told.items():
        assert served[call] == ({"ingest", "resizer", "publisher"} if where == "all" else {where}), call


def test_every_state_of_an_image() -> None:
    (status,) = rows("docs/http-api.md", "`GET /status/KEY`")
    assert all(state in status[2] for state in State)


def test_every_event_with_its_data_and_queue() -> None:
    kinds: tuple[type[Event], ...] = get_args(Event)
    told = {cells[0].strip("`"): cells for cells in rows("docs/events.md", "`")}
    fields: dict[str, set[str]] = {}
    for kind in kinds:
        emitters, queue = told[kind.__name__][1], told[kind.__name__][3]
        assert emitters
        keys = {key.partition(".")[0]: work.name for work in QUEUES for key in work.routing_keys}
        expected = keys.get(kind.__name__, "none")
        assert queue.strip("`") == ("resizer.LANE" if expected.startswith("resizer.") else expected)
        for name in kind.model_fields["data"].annotation.model_fields:  # type: ignore[union-attr]
            fields.setdefault(name, set()).add(kind.__name__)
    assert set(told) == {kind.__name__ for kind in kinds} | set(fields)
    for name, expected_kinds in fields.items():
        named = told[name][1]
        if "begins with `Thumbnails`" in named:
            assert expected_kinds == {kind.__name__ for kind in kinds if kind.__name__.startswith("Thumbnails")}
        else:
            assert set(re.findall(r"`(\w+)`", named)) == expected_kinds, name
    text = Path("docs/events.md").read_text()
    assert all(f"`{lane}`" in text for lane in Lane)
    assert all(f"`….retry.{delay:g}s`" in text for delay in RETRY_DELAYS)


def test_every_field_of_a_record() -> None:
    told = {name for cells in rows("docs/imaging.md", "`") for name in re.findall(r"`(\w+)`", cells[0])}
    assert set(Record.model_fields) == told
    protocol = Path("docs/bucket-protocol.md").read_text()
    assert all(f"`NAME{ending}`" in protocol for ending in RECORD_ENDINGS.values())


def test_every_class_of_findings() -> None:
    told = {cells[0].strip("`") for cells in rows("docs/operations.md", "`") if len(cells) == 3}
    assert {str(kind) for kind in FindingClass} <= told


@cache
def shown(*command: str) -> str:
    help_of = asyncio.run(run_loaded(*command, "--help", environment=os.environ, folder=Path()))
    assert help_of.returncode == 0, help_of.stderr
    return help_of.stdout


def commands(service: str) -> list[str]:
    listed = shown(service).partition("positional arguments:")[2].partition("options:")[0]
    return re.findall(r"^    ([a-z-]+)(?: |$)", listed, re.MULTILINE)


def options(service: str, command: str) -> set[str]:
    told = re.findall(r"^  (-.*?)(?:  .*)?$", shown(service, command), re.MULTILINE)
    return {option for line in told for option in re.findall(r"(?:^|, )(--?[a-z-]+)", line)}


@pytest.mark.parametrize("service", SERVICES)
def test_every_command_and_option(service: str) -> None:
    text = "\n".join(document.read_text() for document in DOCUMENTS)
    for command in commands(service):
        if command != "check":
            assert f"python -m {service} {command}" in text
        for option in options(service, command) - {"-h", "--help"}:
            assert re.search(rf"(?<![\w-]){option}\b", text), option


@pytest.mark.parametrize(
    ("document", "section", "command"),
    [
        ("docs/migration.md", "", ("migrator", "migrate")),
        ("docs/operations.md", "New sizes", ("resizer", "resize")),
        ("docs/operations.md", "Dead letters", ("publisher", "dead-letters")),
    ],
)
def test_options_mean_in_documents_what_help_says(document: str, section: str, command: tuple[str, str]) -> None:
    told = {cells[0].replace("`", ""): cells[1].replace("`", "") for cells in rows(document, "`-", section)}
    assert told
    said = " ".join(shown(*command).split())
    for option, meaning in told.items():
        # A help's line has the option with its value, and then the meaning.
        *_, long = option.split(", ")
        assert re.search(rf"{re.escape(long.split()[0])}\b( \S+)? {re.escape(meaning)}(?= -| environment:)", said), (
            option
        )


@pytest.mark.parametrize("service", SERVICES)
def test_commands_that_are_shown_are_understood(service: str) -> None:
    for document in DOCUMENTS:
        for line in re.findall(rf"python -m {service}\b([^`\n#]*)", document.read_text()):
            command, *words = [*shlex.split(line), ""]
            assert command in ("", *commands(service)), line
            known = options(service, command) if command else set()
            assert {word for word in words if word.startswith("-")} <= known, f"{document}: {line}"
