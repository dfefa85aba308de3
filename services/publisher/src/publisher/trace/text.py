"""A trace as text for a person."""

from collections.abc import Iterator

from publisher.trace.model import DeadEvent, FoundRecord, KnownEvents, Trace
from publisher.trace.units import duration


def describe(trace: Trace) -> str:
    """The trace in paragraphs, each under a heading."""
    reason = "" if trace.reason is None else f": {trace.reason}"
    lines = [f"{trace.image} {trace.state}{reason}"]
    for heading, part in (
        ("objects", _objects(trace)),
        ("records", map(_record, trace.records)),
        ("crop", _crop(trace)),
        ("tombstone", _tombstone(trace)),
        ("events", _events(trace.events)),
        ("not known", iter(trace.events.unknown)),
        ("to do", _pending(trace)),
    ):
        lines += ["", f"{heading}:", *(f"  {line}" for line in list(part) or ["none"])]
    return "\n".join(map(_printable, lines))


def _printable(line: str) -> str:
    """The line with control characters escaped: whoever sends an event chooses its type and its id."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in line)


def _objects(trace: Trace) -> Iterator[str]:
    width = max((len(f"{found.bucket}/{found.key}") for found in trace.objects), default=0)
    for found in trace.objects:
        name = f"{found.bucket}/{found.key}"
        yield f"{name:<{width}}  {found.bytes:>12,} bytes  {duration(found.age)} old"


def _record(record: FoundRecord) -> str:
    settings = "today's settings" if record.current_settings else "other settings than today's"
    crop = f", showing {record.crop}" if record.crop else ""
    damaged = ", from a damaged original" if record.damaged else ""
    if record.failed is not None:
        return f"{record.bucket} {record.stage}: failed ({record.failed.fault}): {record.failed.reason}; {settings}"
    return f"{record.bucket} {record.stage}: {record.variants} variants{crop}{damaged}; {settings}"


def _crop(trace: Trace) -> Iterator[str]:
    if trace.crop is not None:
        yield trace.crop + ("" if trace.crop_requested else "; the broker has not confirmed the request to render it")


def _tombstone(trace: Trace) -> Iterator[str]:
    if trace.tombstone is not None:
        verified = "a sweep has seen that nothing was left" if trace.tombstone.verified else "no sweep has verified it"
        yield f"deleted {duration(trace.tombstone.age)} ago; {verified}"


def _events(events: KnownEvents) -> Iterator[str]:
    for state in events.queues:
        yield f"{state.queue}: {state.waiting} wait, {state.retried} wait to be retried, of all images"
    for letter in events.dead_letters:
        yield f"dead letter of {_dead_event(letter)}"
    for letter in events.replays:
        yield f"to be handled again: {_dead_event(letter)}"


def _dead_event(letter: DeadEvent) -> str:
    when = "" if letter.last_failure is None else f", at {letter.last_failure.isoformat(timespec='seconds')}"
    return f"{letter.queue}: {letter.type} {letter.id}, after {letter.attempts} attempts{when}: {letter.reason}"


def _pending(trace: Trace) -> Iterator[str]:
    for pending in trace.pending:
        yield f"{pending.kind}: {pending.what}"
        yield f"  {pending.next}"
