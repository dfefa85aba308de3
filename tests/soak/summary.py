"""The summary of a run: a table to paste into docs/testing.md, and what is wrong."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from tests.benchmarks.report import say
from tests.soak.account import Account, Place
from tests.soak.audit import Audit
from tests.soak.chaos import Chaos

_SHOWN = 40  # differences
_CALLS = {
    "/upload": "uploads",
    "/publish": "activations and crops",
    "/recrop": "copies with a crop",
    "/rotate": "rotations",
    "/delete": "deletions",
}


@dataclass(frozen=True)
class Outcome:
    """What a run has found.

    `equal` is how many seconds after the last call the buckets became what was answered, and `empty` the same of the
    queues. `queues` has the messages that are left, and `unconsumed` the queues that nobody takes messages from.
    `removed` counts the files in TEMP_FOLDER that went once they were old, `kept` the others.
    """

    account: Account
    chaos: Chaos
    found: Audit
    equal: float
    empty: float
    queues: dict[str, int]
    unconsumed: list[str]
    removed: int
    kept: int

    @property
    def good(self) -> bool:
        """Whether everything is as it was answered, and nothing is left."""
        wrong = self.found.differences, self.account.violations, self.queues, self.unconsumed
        return not any(wrong) and not self.kept


def summarise(outcome: Outcome) -> None:
    """Print it."""
    account, found = outcome.account, outcome.found
    say("| | |\n|---|---|")
    for title, text in _rows(outcome):
        say(f"| {title} | {text} |")
    say()
    for title, lines in (("differences", found.differences), ("wrong answers", account.violations)):
        for line in lines[:_SHOWN]:
            say(f"{title}: {line}")


def _rows(outcome: Outcome) -> Iterable[tuple[str, str]]:
    account, chaos, found = outcome.account, outcome.chaos, outcome.found
    faults = sum(chaos.injected.values())
    yield "faults", f"{faults}, for {chaos.seconds / 60:.0f} minutes: {_list(chaos.injected, '{name} {count} ×')}"
    yield "answered 200", _list(Counter({name: account.answers[path, "200"] for path, name in _CALLS.items()}))
    others: Counter[str] = Counter()
    for (_, status), count in account.answers.items():
        if status != "200":
            others[status] += count
    yield "other answers", _list(others, "{count} × {name}")
    places = Counter(image.state.place for image in account.images.values() if len(image.possible) == 1)
    yield "images afterwards", _list(Counter({str(place): places[place] for place in Place}))
    unnamed = Counter({str(place): count for place, count in found.unnamed.items()})
    yield "images of calls without an answer", _list(unnamed)
    equal = "**none**" if not found.differences else str(len(found.differences))
    yield "differences between what was answered and the buckets", f"{equal}, {outcome.equal:.0f} s after the last call"
    yield "wrong answers", str(len(account.violations) or "none")
    left_in_queues = _list(Counter(outcome.queues), "{name} {count}")
    yield "messages left in queues", f"{left_in_queues}, {outcome.empty:.0f} s after the last call"
    yield "queues that nobody consumes", ", ".join(outcome.unconsumed) or "none"
    left = f"{outcome.kept or 'nothing'}, after {outcome.removed} files of processes that were killed went by their age"
    yield "left in `TEMP_FOLDER`", left


def _list(counts: Counter[str], form: str = "{count} {name}") -> str:
    return ", ".join(form.format(name=name, count=f"{count:,}") for name, count in counts.items() if count) or "none"
