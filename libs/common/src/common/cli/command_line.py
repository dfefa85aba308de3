"""The command line of a service: without a command it serves; `check` and its jobs are for its operator."""

import argparse
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import TypeVar

from common.cli.help import describe_command
from common.errors import StorageFault
from common.jobs.command import Command, job_command
from common.lifecycle import main
from common.messaging.topology import QUEUES
from common.sandbox.pool import Pool
from common.sandbox.undumpable import become_undumpable
from common.settings.base import BrokerSettings, ImagingSettings, Settings
from common.storage.check import CheckResult, check_buckets, missing_folders, removing_new_folders, try_step
from common.storage.folder import TEMPORARY
from common.storage.temporary import prepare_temporary_folder
from common.wiring import open_buckets, open_bus, wait_for_broker

_BROKER_SECONDS = 20.0
_NO_SETTING = "a setting is missing or cannot be used; a line for each says which"
_CHECK = "Try the settings, decoders, broker and store, with the settings of the service; a line for each thing tried."
_OPENED = "the buckets can be opened"

S = TypeVar("S", bound=Settings)


def command_line(
    name: str,
    about: str,
    *,
    settings: Callable[[], S],
    kind: type[S],
    serve: Callable[[], Coroutine[None, None, None]] | None = None,
    jobs: tuple[Command, ...] = (),
    extra_checks: Callable[[S], AsyncIterator[CheckResult]] | None = None,
) -> None:
    """Run what the command line asks for; without a command, `serve`.

    `about` says what the service does, `settings` reads those of this `kind`, and `extra_checks` is what `check`
    tries besides. Exits 0; 1 when it cannot be done; 2 for a wrong command or setting. A job exits as it says itself.
    """
    become_undumpable()  # before there is any decoding process, which could read our secrets
    given = _parser(name, about, kind, jobs, serves=serve is not None).parse_args()
    if given.command == "check":
        main(name, lambda: _check(name, settings, extra_checks))
    elif given.command is not None:
        job_command(name, next(job for job in jobs if job.name == given.command), given)
    elif serve is not None:
        main(name, serve)


def _parser(
    name: str,
    about: str,
    kind: type[Settings],
    jobs: tuple[Command, ...],
    *,
    serves: bool,
) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {name}")
    exits = {
        0: "it was told to stop, by SIGTERM or SIGINT, and has finished what was in hand",
        1: "it cannot start, or a task in its background has ended, for the reason that it says",
    }
    example = f"SERVICE_PORT=8001 python -m {name}" if serves else f"python -m {name} {jobs[0].name}"
    describe_command(
        parser, about, kind, (exits if serves else {0: "the command says what"}) | {2: _NO_SETTING}, example
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=not serves)
    for job in jobs:
        command = commands.add_parser(job.name, help=job.help)
        describe_command(command, f"{job.help[0].upper()}{job.help[1:]}.", job.settings, job.exits, job.example)
        job.arguments(command)
    check = commands.add_parser("check", help="try the settings, decoders, broker and store, a line each")
    exits = {0: "all is well", 1: "something is not, and its line says FAILED", 2: _NO_SETTING}
    describe_command(check, _CHECK, kind, exits, f"python -m {name} check")
    return parser


async def _check(
    name: str, read: Callable[[], S], extra_checks: Callable[[S], AsyncIterator[CheckResult]] | None
) -> None:
    settings = read()
    with removing_new_folders(
        settings.temp_folder, *(folder / TEMPORARY for folder in settings.bucket_folders.values())
    ):
        prepare_temporary_folder(settings.temp_folder)
        failures = await _run_checks(settings, name, extra_checks)
    if failures:
        raise SystemExit(1)


async def _run_checks(settings: S, name: str, extra_checks: Callable[[S], AsyncIterator[CheckResult]] | None) -> int:
    failures = 0
    _print_result("the settings", None)
    if isinstance(settings, ImagingSettings):
        failures += await _check_decoders(settings)
    if isinstance(settings, BrokerSettings):
        what = "the broker can be reached, and has all queues"
        failures += _print_result(*await try_step(what, partial(_check_broker, settings, name), _BROKER_SECONDS))
    async for found in _check_store(settings):
        failures += _print_result(*found)
    if extra_checks is not None:
        async for found in extra_checks(settings):
            failures += _print_result(*found)
    return failures


async def _check_decoders(settings: ImagingSettings) -> bool:
    """Whether decoding processes cannot start, or lack a wall that SANDBOX requires. Prints a line."""
    # Without the requirement one starts, and can tell which walls stand.
    limits = replace(settings.limits, walls_required=False)
    async with Pool.open(1, limits) as pool:
        await pool.start_one()
        if pool.walls is None:
            return _print_result("decoding processes can be started", pool.trouble())
        what, complaint = f"decoding processes are confined ({pool.walls})", pool.walls.complaint()
    if complaint is not None and not settings.limits.walls_required:
        print(f"WARNING {what}: {complaint}", flush=True)
        return False
    return _print_result(what, None if complaint is None else f"SANDBOX=required, and {complaint}")


async def _check_store(settings: Settings) -> AsyncIterator[CheckResult]:
    if (missing := missing_folders(settings.bucket_folders)) is not None:
        yield _OPENED, missing
        return
    try:
        async with open_buckets(settings) as buckets:
            async for found in check_buckets(buckets):
                yield found
    except StorageFault as fault:
        yield _OPENED, str(fault)


def _print_result(what: str, wrong: str | None) -> bool:
    print(f"ok      {what}" if wrong is None else f"FAILED  {what}: {wrong}", flush=True)
    return wrong is not None


async def _check_broker(settings: BrokerSettings, name: str) -> None:
    async with open_bus(settings, name) as bus:
        await wait_for_broker(bus)
        for queue in QUEUES:
            await bus.depth(queue)
