"""Commands of a service that do one thing and end."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass

from common.errors import JobFault, SettingsError, Transient
from common.logs import configure_logs


@dataclass(frozen=True)
class Command:
    """`python -m SERVICE NAME`: what it is for, its arguments, and what it does; that returns the exit status."""

    name: str
    help: str
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], Coroutine[None, None, int]]


def job_command(service: str, command: Command, given: argparse.Namespace) -> None:
    """Run it. Exits with its status; 2, after a line that says why, when it cannot run or cannot go on."""
    configure_logs(service)
    try:
        status = asyncio.run(_stoppable(command.run(given)))
    except SettingsError as error:
        for line in error.lines:
            print(f"{service}: {line}", file=sys.stderr)
        sys.exit(2)
    except (JobFault, Transient, OSError) as error:
        print(f"{service} {command.name}: {error or type(error).__name__}", file=sys.stderr)
        sys.exit(2)
    sys.exit(status)


async def _stoppable(work: Coroutine[None, None, int]) -> int:
    """What `work` returns. Raises JobFault when SIGTERM or SIGINT comes first; what it holds is given back then."""
    task = asyncio.create_task(work)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        raise JobFault("stopped before the end; run it again to go on") from None
