"""The command `dead-letters`: what it prints and asks. Where the dead letters are, its service's wiring knows."""

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Protocol, get_args

from common.errors import JobFault
from common.jobs.command import NOT_POSSIBLE, Command
from common.jobs.options import age_seconds, image_key, positive_int
from common.messaging.dead_letters import MOST_LETTERS, DeadMessage, Done, Wanted
from common.messaging.events import Event
from common.messaging.topology import QUEUES, WorkQueue
from common.settings.base import Settings


class Action(StrEnum):
    """What to do with the dead letters that are selected."""

    LIST = "list"
    SHOW = "show"
    REPLAY = "replay"
    DROP = "drop"


_DONE = {Action.LIST: "listed", Action.SHOW: "shown", Action.REPLAY: "replayed", Action.DROP: "dropped"}
_EVENT_TYPES = [kind.__name__ for kind in get_args(Event)]


class DeadLetters(Protocol):
    """Those of all queues, as a bus has them. `Bus` describes the methods."""

    async def dead_letter_count(self, queue: WorkQueue) -> int:
        """How many there are."""

    async def dead_letters(self, queue: WorkQueue, limit: int, wanted: Wanted) -> list[DeadMessage]:
        """Those that are wanted."""

    async def replay(self, queue: WorkQueue, limit: int, wanted: Wanted, done: Done) -> int:
        """Have the wanted ones handled again."""

    async def drop(self, queue: WorkQueue, limit: int, wanted: Wanted, done: Done) -> int:
        """Remove the wanted ones."""


Open = Callable[[], AbstractAsyncContextManager[DeadLetters]]


@dataclass(frozen=True)
class Selection:
    """Which dead letters to act on. An age is in seconds since the last failure."""

    queues: tuple[WorkQueue, ...]
    limit: int
    id: str | None = None
    type: str | None = None
    image: str | None = None
    older: float | None = None
    younger: float | None = None

    def wants(self, letter: DeadMessage) -> bool:
        """Whether the letter is one of them, but for queue and limit. One without a time has no age."""
        age = None if letter.last_failure is None else time.time() - letter.last_failure.timestamp()
        return (
            self.id in (None, letter.id)
            and self.type in (None, letter.type)
            and self.image in (None, letter.image)
            and (self.older is None or (age is not None and age > self.older))
            and (self.younger is None or (age is not None and age <= self.younger))
        )


async def act_on_dead_letters(action: Action, selection: Selection, *, ask: bool, open_letters: Open) -> int:
    """List, show, replay or drop. Returns the exit status. Raises JobFault when nobody can be asked."""
    changes = action in (Action.REPLAY, Action.DROP)
    if changes and ask and not sys.stdin.isatty():
        raise JobFault(f"nobody can be asked whether to {action}: expected --yes, or a terminal")
    async with open_letters() as letters:
        total = 0
        for queue in selection.queues:
            total += await letters.dead_letter_count(queue)
        if not changes:
            found = await _found(letters, selection)
            for letter in found:
                _print(letter, action)
            return _summary(action, len(found), f"{total} in all")
        wanted: Wanted = selection.wants
        if ask:
            found = await _found(letters, selection)
            if found and not await _confirmed(action, found):
                return _summary(action, 0, f"{total} left", status=1)
            wanted = partial(_is_one_of, {letter.key for letter in found})
        count = await _change(letters, action, selection, wanted)
        return _summary(action, count, f"{max(total - count, 0)} left")


async def _found(letters: DeadLetters, selection: Selection) -> list[DeadMessage]:
    found: list[DeadMessage] = []
    for queue in selection.queues:
        if (left := selection.limit - len(found)) > 0:
            found += await letters.dead_letters(queue, left, selection.wants)
    return found


def _is_one_of(keys: set[str], letter: DeadMessage) -> bool:
    return letter.key in keys


async def _change(letters: DeadLetters, action: Action, selection: Selection, wanted: Wanted) -> int:
    """Replay or drop what is wanted. Returns how many."""
    change = letters.replay if action is Action.REPLAY else letters.drop
    count = 0
    for queue in selection.queues:
        if (left := selection.limit - count) > 0:
            count += await change(queue, left, wanted, partial(_print, action=action))
    return count


def _print(letter: DeadMessage, action: Action) -> None:
    line: dict[str, object] = {
        "queue": letter.queue,
        "id": letter.id,
        "type": letter.type,
        "image": letter.image,
        "reason": letter.reason,
        "attempts": letter.attempts,
        "first_failure": letter.first_failure and letter.first_failure.isoformat(timespec="seconds"),
        "last_failure": letter.last_failure and letter.last_failure.isoformat(timespec="seconds"),
    }
    if action in (Action.SHOW, Action.DROP):
        line["event"] = letter.event
    print(json.dumps(line, indent=2 if action is Action.SHOW else None), flush=True)


def _summary(action: Action, count: int, rest: str, status: int = 0) -> int:
    """Print the totals, apart from what a program reads. Returns the exit status."""
    print(f"Dead letters: {count} {_DONE[action]}, {rest}", file=sys.stderr, flush=True)
    return status


async def _confirmed(action: Action, letters: list[DeadMessage]) -> bool:
    """Ask at the terminal. A signal ends the question, which `input` in a thread would not let it."""
    queues = Counter(letter.queue for letter in letters)
    where = ", ".join(f"{count} of {queue}" for queue, count in queues.items())
    print(f"{action} {len(letters)} dead letters ({where})? [y/N] ", end="", file=sys.stderr, flush=True)
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(sys.stdin, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(sys.stdin)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "action",
        nargs="?",
        choices=[action.value for action in Action],
        default=Action.LIST.value,
        help="list (the default): a line of JSON for each; show: the whole events, too; replay: have them handled "
        "again, in the queue that failed alone; drop: remove them, and print each",
    )
    names = [queue.name for queue in QUEUES]
    add("--queue", choices=names, metavar="QUEUE", help=f"only those of this queue: {', '.join(names)}")
    add("--id", metavar="ID", help="only the event with this id")
    add("--type", choices=_EVENT_TYPES, metavar="TYPE", help="only events of this type, such as ImageUploaded")
    add("-k", "--key", type=image_key, metavar="KEY", help="only events of this image, such as 1475660224_71.jpg")
    add("--older", type=age_seconds, metavar="AGE", help="only those that failed longer ago than this: 90d, 12h, 30m")
    add("--younger", type=age_seconds, metavar="AGE", help="only those that failed no longer ago than this")
    add(
        "-l",
        "--limit",
        type=positive_int,
        default=MOST_LETTERS,
        metavar="N",
        help="N dead letters at most (%(default)s)",
    )
    add("-y", "--yes", action="store_true", help="replay or drop without asking")


def _selection(given: argparse.Namespace) -> Selection:
    return Selection(
        queues=tuple(queue for queue in QUEUES if given.queue in (None, queue.name)),
        limit=given.limit,
        id=given.id,
        type=given.type,
        image=None if given.key is None else str(given.key),
        older=given.older,
        younger=given.younger,
    )


async def _run(given: argparse.Namespace, open_letters: Open) -> int:
    action = Action(given.action)
    return await act_on_dead_letters(action, _selection(given), ask=not given.yes, open_letters=open_letters)


def dead_letters_command(service: str, open_letters: Open, settings: type[Settings]) -> Command:
    """The command, for a service whose `open_letters` gives the dead letters of all queues."""
    return Command(
        "dead-letters",
        "list the events that could not be handled, show them, have them handled again, or remove them",
        _arguments,
        partial(_run, open_letters=open_letters),
        settings,
        {0: "it is done, or there are none", 1: "nothing was done: the answer was not yes", 2: NOT_POSSIBLE},
        f"python -m {service} dead-letters replay --type ImageUploaded --younger 2d",
    )
