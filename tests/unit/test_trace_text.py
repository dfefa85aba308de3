"""What a person reads of a trace."""

from common.images.names import ImageKey
from common.storage.status import State
from publisher.trace.model import DeadEvent, KnownEvents, Trace
from publisher.trace.text import describe


def test_whoever_sends_an_event_cannot_command_the_terminal_of_who_reads_of_it() -> None:
    letter = DeadEvent(
        queue="publisher",
        id="\x1b]0;title\x07",
        type="\x1b[2J",
        reason="one\nto do:\n  nothing",
        attempts=1,
        last_failure=None,
    )
    trace = Trace(
        image=ImageKey.parse("1475660224_1.jpg"),
        state=State.UNKNOWN,
        settled=True,
        reason=None,
        objects=[],
        records=[],
        crop=None,
        crop_requested=None,
        tombstone=None,
        events=KnownEvents(dead_letters=[letter]),
        pending=[],
    )
    text = describe(trace)
    assert all(line.isprintable() for line in text.splitlines())
    (told,) = (line for line in text.splitlines() if "dead letter" in line)
    assert "\\x1b[2J \\x1b]0;title\\x07" in told
    assert told.endswith("one\\nto do:\\n  nothing")
