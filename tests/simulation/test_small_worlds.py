"""Every schedule of what can meet on one image, within a bound; and every rule is needed.

`make test` searches all schedules with one preemption or one fault, and of long scenarios those with neither. `make
explore` searches those with two preemptions, or one and a fault, and of some scenarios those with one of either.
`EXPLORE_PATH` runs the one schedule of a story that a failure tells; the test of its scenario has to be named.
"""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.simulation.mutants import MUTANTS
from tests.simulation.small_worlds import LONG, ONE_OF_EITHER, SCENARIOS
from tests.support.exploration import some
from tests.support.exploring import Violation, explore, replay
from tests.support.schedules import Bound, Schedule

from common.images.formats import Format
from common.images.names import ImageKey
from common.storage.base import Buckets

pytestmark = pytest.mark.explores

_DOCUMENT = Path(__file__).parents[2] / "docs/testing.md"
_ALONE = Bound(0, 0, 0), Bound(0, 1, 1), Bound(1, 0, 1)  # one after another: the first that catches a mutant is enough


def bound(name: str) -> Bound:
    few = Bound(0, 0, 0) if name in LONG else Bound(1, 1, 1)
    return some(Bound(1, 1, 1) if name in ONE_OF_EITHER else Bound(2, 1, 2), few)


@pytest.mark.parametrize("name", SCENARIOS)
async def test_no_schedule_breaks_a_promise(name: str, record_property: Callable[[str, object], None]) -> None:
    search = await explore(SCENARIOS[name], bound(name))
    record_property(name, str(search))  # for the summary of the run


async def caught(rule: str) -> Violation | None:
    for within in _ALONE:
        try:
            await explore(SCENARIOS[MUTANTS[rule].scenario], within)
        except Violation as violation:
            return violation
    return None


@pytest.mark.parametrize("rule", MUTANTS)
async def test_a_rule_that_is_left_out_breaks_a_promise(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant = MUTANTS[rule]
    mutant.leave_out(monkeypatch)
    violation = await caught(rule)
    assert violation is not None, "not caught"
    assert re.search(mutant.broken, violation.broken), violation
    with pytest.raises(Violation, match=re.escape(violation.broken)):
        await replay(SCENARIOS[mutant.scenario], Schedule.parse(violation.path))


def test_the_documents_tell_how_far_the_long_scenarios_are_searched() -> None:
    told = re.findall(r"^\| (an? [a-z, ]+|t[a-z, ]+) \| (one p.*|two p.*) \|$", _DOCUMENT.read_text(), re.MULTILINE)
    far = {True: "one preemption or one fault", False: "two preemptions, or one and a fault"}
    assert told == [(name, far[name in ONE_OF_EITHER]) for name in SCENARIOS if name in LONG]
    assert ONE_OF_EITHER <= LONG


def test_every_rule_has_a_mutant_and_the_documents_tell_which() -> None:
    rules = set(re.findall(r"^`([a-z-]+)`$", (_DOCUMENT.parent / "bucket-protocol.md").read_text(), re.MULTILINE))
    assert set(MUTANTS) == rules
    told = re.findall(r"^\| `([a-z-]+)` \| ([^|]+) \| ([^|]+) \|$", _DOCUMENT.read_text(), re.MULTILINE)
    words = [(rule, one.leave_out.__name__.replace("_", " "), one.scenario) for rule, one in MUTANTS.items()]
    assert told == words


@pytest.mark.parametrize("edit", ["a rotation", "a recrop"])
async def test_the_search_notices_an_edit_that_is_not_pending(edit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """If its process is killed, nothing in *incoming* tells of the copy."""

    async def store_in_active_alone(
        _: Format, path: Path, __: bytes, buckets: Buckets, made: list[ImageKey]
    ) -> ImageKey:
        new = ImageKey.new(Format.JPG)
        made.append(new)
        await buckets.active.put_file(str(new), path)
        return new

    monkeypatch.setattr("publisher.edits._store_original", store_in_active_alone)
    with pytest.raises(Violation, match="public:"):
        await explore(SCENARIOS[edit], Bound(0, 1, 1))
