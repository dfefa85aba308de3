"""The command line of a service: without a command it serves; `check` and `dead-letters` are for its operator."""

import argparse
import json
from collections.abc import Awaitable, Callable, Coroutine

from common.check import check_buckets
from common.errors import BusFault
from common.jobs.command import Command, job_command
from common.service import connected, main, open_buckets, open_bus
from common.settings import BrokerSettings, Settings, read_settings
from common.topology import QUEUES, WorkQueue

_MOST = 1000  # letters shown


def command_line(
    name: str,
    serve: Callable[[], Coroutine[None, None, None]] | None,
    queues: tuple[WorkQueue, ...],
    settings: Callable[[], Settings],
    jobs: tuple[Command, ...] = (),
) -> None:
    """Run what the command line asks for; without a command, `serve`.

    Exits 0; 1 when it cannot be done; 2 for a wrong command or setting. A job exits as it says itself.
    """
    what = f"The {name} service; serves by default." if serve else f"The {name}."
    parser = argparse.ArgumentParser(prog=f"python -m {name}", description=what)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=serve is None)
    for job in jobs:
        job.arguments(commands.add_parser(job.name, help=job.help, description=job.help))
    commands.add_parser("check", help="try the settings, the broker and the store, a line each")
    if queues:
        letters = commands.add_parser("dead-letters", help="show the events that were put aside, a line of JSON each")
        letters.add_argument("--replay", action="store_true", help="send them back to be handled again, instead")
    given = parser.parse_args()
    if given.command == "check":
        main(name, lambda: _check(name, settings))
    elif given.command == "dead-letters":
        main(name, lambda: _dead_letters(name, queues, replay=given.replay))
    elif given.command is not None:
        job_command(name, next(job for job in jobs if job.name == given.command), given)
    elif serve is not None:
        main(name, serve)


async def _check(name: str, read: Callable[[], Settings]) -> None:
    settings = read()
    print("ok      the settings")
    failures = 0
    if isinstance(settings, BrokerSettings):
        failures += await _said("the broker can be reached, and has all queues", _broker(settings, name))
    async with open_buckets(settings) as buckets:
        async for what, wrong in check_buckets(buckets):
            _say(what, wrong)
            failures += wrong is not None
    if failures:
        raise SystemExit(1)


async def _said(what: str, work: Awaitable[None]) -> bool:
    try:
        await work
    except BusFault as fault:
        _say(what, str(fault))
        return True
    _say(what, None)
    return False


def _say(what: str, wrong: str | None) -> None:
    print(f"ok      {what}" if wrong is None else f"FAILED  {what}: {wrong}", flush=True)


async def _broker(settings: BrokerSettings, name: str) -> None:
    async with open_bus(settings, name) as bus:
        await connected(bus)
        for queue in QUEUES:
            await bus.depth(queue)


async def _dead_letters(name: str, queues: tuple[WorkQueue, ...], *, replay: bool) -> None:
    async with open_bus(read_settings(BrokerSettings), name) as bus:
        await connected(bus)
        for queue in queues:
            if replay:
                print(json.dumps({"queue": queue.name, "replayed": await bus.replay(queue)}))
                continue
            for letter in await bus.dead_letters(queue, _MOST):
                print(json.dumps({"queue": queue.name, "reason": letter.reason, "event": letter.body}))
