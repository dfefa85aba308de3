"""Commands of a service that do one thing and end."""

import argparse
import asyncio
import shlex
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass

from common.errors import JobFault, SettingsError, Transient
from common.logs import configure_logs
from common.settings.base import Settings

NOT_POSSIBLE = "it cannot run, or cannot go on; the last line says why"


def same_command(arguments: list[str]) -> tuple[str, list[str]]:
    """For commands that continue when they are run again with the same arguments."""
    return "this goes on", arguments


@dataclass(frozen=True)
class Command:
    """`python -m SERVICE NAME`: what it is for, its arguments, and what it does; that returns the exit status.

    `settings` are what it reads, None where it reads none. `exits` says what an exit status means, and `example` is a
    line that uses it. `resume` says of the arguments of a run that was stopped with which others one goes on, and what
    they do.
    """

    name: str
    help: str
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], Coroutine[None, None, int]]
    settings: type[Settings] | None
    exits: Mapping[int, str]
    example: str
    resume: Callable[[list[str]], tuple[str, list[str]]] = same_command


def job_command(service: str, command: Command, given: argparse.Namespace) -> None:
    """Run it. Exits with its status; 2, after a line that says why, when it cannot run or cannot go on."""
    configure_logs(service)
    try:
        status = asyncio.run(_stoppable(command.run(given), service, command))
    except SettingsError as error:
        for line in error.lines:
            print(f"{service}: {line}", file=sys.stderr)
        sys.exit(2)
    except (JobFault, Transient, OSError) as error:
        print(f"{service} {command.name}: {error or type(error).__name__}", file=sys.stderr)
        sys.exit(2)
    sys.exit(status)


async def _stoppable(work: Coroutine[None, None, int], service: str, command: Command) -> int:
    """What `work` returns. Raises JobFault when SIGTERM or SIGINT comes first; what it holds is given back then."""
    task = asyncio.create_task(work)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        what, arguments = command.resume(sys.argv[2:])
        line = shlex.join(["python", "-m", service, command.name, *arguments])
        raise JobFault(f"stopped before the end; {what}: {line}") from None
