"""The options that such commands have; those of the scripts that they replace keep their names."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from common.images.names import BadName, ImageKey


@dataclass(frozen=True)
class Options:
    """What was asked for. `progress` is after how many images a line is written where there is no terminal."""

    force: bool = False
    jobs: int = 5
    key: ImageKey | None = None
    limit: int | None = None
    progress: int = 1000
    verbose: bool = False
    dry_run: bool = False
    report: Path | None = None


def positive_int(text: str) -> int:
    """The number in `text`. Raises ArgumentTypeError for all but whole numbers from 1 on."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number from 1 on")
    return int(text)


def image_key(text: str) -> ImageKey:
    """The key in `text`. Raises ArgumentTypeError, saying what was expected."""
    try:
        return ImageKey.parse(text)
    except BadName as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def add_options(parser: argparse.ArgumentParser, *, force: str) -> None:
    """Declare all the options; `force` says what that one does here."""
    add = parser.add_argument
    add("-f", "--force", action="store_true", help=force)
    add(
        "-j",
        "--jobs",
        type=positive_int,
        default=Options.jobs,
        metavar="N",
        help="images in hand at once (%(default)s)",
    )
    add_look_options(parser)


def add_look_options(parser: argparse.ArgumentParser) -> None:
    """Declare those that say which images to look at, and what to tell of them."""
    add = parser.add_argument
    add("-k", "--key", type=image_key, metavar="KEY", help="this image alone, such as 1475660224_0882910455.jpg")
    add("-l", "--limit", type=positive_int, metavar="N", help="end after N images that were not skipped at a glance")
    add(
        "--progress",
        type=positive_int,
        default=Options.progress,
        metavar="N",
        help="a line every N images (%(default)s)",
    )
    add("-v", "--verbose", action="store_true", help="a line for each image")
    add("--dry-run", action="store_true", help="say what would be done, and do nothing")
    add("--report", type=Path, metavar="FILE", help="write a line of JSON for each image")


def options_from(given: argparse.Namespace) -> Options:
    """The options among what was given; those that the command does not have are as they are by default."""
    return Options(**{name: value for name, value in vars(given).items() if name in Options.__dataclass_fields__})
