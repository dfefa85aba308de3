"""`python -m migrator migrate`: runs to completion; `python -m migrator check`: whether it could."""

import argparse

from common.cli.command_line import command_line
from common.jobs import NOT_POSSIBLE, Command, add_options, options_from
from common.settings.base import read_settings
from migrator.bootstrap import run
from migrator.check import check_v5
from migrator.settings import MigratorSettings


def read() -> MigratorSettings:
    """What the environment says. Raises SettingsError."""
    return read_settings(MigratorSettings)


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_options(parser, force="render again what has been rendered; an original that is public is never touched")
    parser.add_argument("--rate", type=_rate, metavar="N", help="ask the source for N originals a second at most")


async def start(given: argparse.Namespace) -> int:
    """Migrate. Returns the exit status."""
    return await run(read(), options_from(given), rate=given.rate)


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number above 0")
    return rate


MIGRATE = Command(
    "migrate",
    "bring over all images of the v5 database, and have their thumbnails made",
    arguments,
    start,
    MigratorSettings,
    {0: "every image ended well", 1: "some did not; --report says which", 2: NOT_POSSIBLE},
    "python -m migrator migrate --report moved.jsonl",
)

if __name__ == "__main__":
    command_line(
        "migrator",
        "Moves a site that runs on v5 to this image backend.",
        settings=read,
        kind=MigratorSettings,
        jobs=(MIGRATE,),
        more=check_v5,
    )
