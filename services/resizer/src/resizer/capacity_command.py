"""`python -m resizer capacity`: its options, and what it prints."""

import argparse
import json
import math
from dataclasses import replace

from common.images.formats import MODERN_FORMATS, Format
from common.jobs import Command
from resizer.capacity import (
    BUSY,
    MEASURED_MEGAPIXELS,
    RESIZER_CORES,
    S3_READS,
    S3_WRITES,
    PhotoCost,
    default_cost,
    limits,
    needs,
)

_LEAST, _MOST = 1e-6, 1e9  # of what an option takes
_MEGA = 1e6
_GIGA = 1e9
# For each part, its figures: what each is, and the unit that it is told in.
_ROWS = {
    "resizer": {
        "resizer_cores_busy": ("cores busy", 1.0),
        "resizer_replicas": (f"replicas of {RESIZER_CORES} cores", 1.0),
        "resizer_bytes_in": ("MB/s in", _MEGA),
        "resizer_bytes_out": ("MB/s out", _MEGA),
    },
    "ingest": {
        "ingest_cores_busy": ("cores busy", 1.0),
        "ingest_replicas": ("replicas of 1 core", 1.0),
        "ingest_bytes_in": ("MB/s in", _MEGA),
        "ingest_bytes_out": ("MB/s out", _MEGA),
    },
    "publisher": {
        "publisher_cores_busy": ("cores busy", 1.0),
        "publisher_replicas": ("replicas of 1 core", 1.0),
    },
    "broker": {
        "broker_published": ("events/s published", 1.0),
        "broker_queued": ("events/s to work queues", 1.0),
        "broker_busiest_queue": ("events/s of the busiest queue", 1.0),
        "broker_copies_to_ingest": ("events/s to ingest's listeners", 1.0),
    },
    "store": {
        "store_requests": ("requests/s", 1.0),
        "store_writes_incoming": ("writes/s in incoming", 1.0),
        "store_reads_incoming": ("reads/s in incoming", 1.0),
        "store_writes_active": ("writes/s in active", 1.0),
        "store_reads_active": ("reads/s in active", 1.0),
        "store_bytes_in": ("MB/s in", _MEGA),
        "store_bytes_out": ("MB/s out", _MEGA),
        "store_bytes_a_day": ("GB more each day", _GIGA),
    },
}
_GIVES_OUT = {
    "resizer": ("one resizer", "CPU time of decoders"),
    "ingest": ("one ingest", "CPU time of its process"),
    "all_ingests": ("all ingests", "each of them hears every event"),
    "publisher": ("one publisher", "CPU time of its process"),
    "store_prefix": ("one prefix of S3", f"{S3_WRITES:,.0f} writes/s or {S3_READS:,.0f} reads/s"),
}


async def _capacity(given: argparse.Namespace) -> int:
    cost = _cost(given)
    if given.json:
        for uploads in given.uploads_per_second:
            found = {"uploads_per_second": uploads, "photo": _told(cost), "needs": needs(uploads, cost)}
            print(json.dumps(found | {"gives_out": limits(cost)}))
    else:
        print("\n".join(_report(given.uploads_per_second, cost)))
    return 0


def _cost(given: argparse.Namespace) -> PhotoCost:
    """What docs/performance.md says that a photo costs, but for what the operator has measured."""
    cost = default_cost(given.megapixels, [Format(name) for name in given.formats])
    measured = {
        "resizer_ms": given.cpu_ms_per_photo,
        "ingest_ms": given.ingest_cpu_ms,
        "publisher_ms": given.publisher_cpu_ms,
        "event_ms": given.event_cpu_ms,
        "original_bytes": given.bytes_per_photo,
        "variant_bytes": given.variant_bytes_per_photo,
    }
    return replace(cost, **{name: value for name, value in measured.items() if value is not None})


def _told(cost: PhotoCost) -> dict[str, object]:
    return vars(cost) | {"formats": sorted(cost.formats)}


def _report(rates: list[float], cost: PhotoCost) -> list[str]:
    original, variants = cost.original_bytes / _MEGA, cost.variant_bytes / _MEGA
    formats = ", ".join(["the original's format", *sorted(cost.formats)])
    milliseconds = f"resizer {cost.resizer_ms:.0f}, ingest {cost.ingest_ms:.0f}, publisher {cost.publisher_ms:.0f}"
    lines = [
        f"a photo: {original:.2f} MB, and {variants:.2f} MB of variants in {formats}",
        f"CPU ms: {milliseconds} for each photo; {cost.event_ms:.2g} of each ingest for each event",
        "",
        _line("uploads/s", "", [f"{rate:,g}" for rate in rates]),
    ]
    found = [needs(rate, cost) for rate in rates]
    for part, rows in _ROWS.items():
        for number, (name, (what, unit)) in enumerate(rows.items()):
            lines.append(_line("" if number else part, what, [_number(of[name], unit) for of in found]))
    lines += ["", f"where each part gives out first, with {BUSY:.0%} of a core in use:"]
    for part, most in limits(cost).items():
        one, why = _GIVES_OUT[part]
        lines.append(f"{one:18}{_number(most, 1.0):>8} uploads/s   {why}")
    return lines


def _line(part: str, what: str, values: list[str]) -> str:
    return f"{part:11}{what:30}" + "".join(f"{value:>12}" for value in values)


def _number(value: float | None, unit: float) -> str:
    """In full from 100 on and for whole numbers, else with two digits that count; a dash where none is enough."""
    if value is None:
        return "-"
    told = value / unit
    return f"{told:,.0f}" if told >= 100 or told == int(told) else f"{told:.2g}"  # noqa: PLR2004


def _quantity(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not _LEAST <= number <= _MOST:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number from {_LEAST:f} to {_MOST:.0f}")
    return number


def _arguments(parser: argparse.ArgumentParser) -> None:
    def measured(option: str, what: str) -> None:
        parser.add_argument(option, type=_quantity, metavar="N", help=f"{what}, where you have measured it")

    parser.add_argument(
        "--uploads-per-second",
        type=_quantity,
        nargs="+",
        metavar="N",
        required=True,
        help="uploads a second; of several, each has a column",
    )
    parser.add_argument(
        "--megapixels",
        type=_quantity,
        default=MEASURED_MEGAPIXELS,
        metavar="N",
        help="size of a photo, for what you have not measured (%(default)g)",
    )
    parser.add_argument(
        "--formats",
        nargs="+",
        default=[],
        choices=[str(name) for name in MODERN_FORMATS],
        help="formats of variants beside the original's (none)",
    )
    measured("--cpu-ms-per-photo", "CPU milliseconds of resizer and its decoders for a photo")
    measured("--ingest-cpu-ms", "CPU milliseconds of ingest and its decoders for a photo")
    measured("--publisher-cpu-ms", "CPU milliseconds of publisher for a photo")
    measured("--event-cpu-ms", "CPU milliseconds of an ingest for an event that it hears")
    measured("--bytes-per-photo", "bytes of an upload")
    measured("--variant-bytes-per-photo", "bytes of all variants of a photo")
    parser.add_argument("--json", action="store_true", help="write a line of JSON for each number of uploads")


CAPACITY = Command(
    "capacity",
    "calculate what uploads need of resizer, ingest, publisher, broker and store",
    _arguments,
    _capacity,
    None,
    {0: "it is calculated", 2: "an option is missing or cannot be used"},
    "python -m resizer capacity --uploads-per-second 100",
)
