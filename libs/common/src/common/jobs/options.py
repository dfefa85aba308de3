"""The options of commands that process many images. Their names are those of the scripts that they replace."""

import argparse
import re
from dataclasses import dataclass
from pathlib import Path

from common.images.names import BadName, ImageKey


@dataclass(frozen=True)
class Options:
    """The options' values. `progress` counts images: without a terminal, a line is written after so many."""

    force: bool = False
    jobs: int = 5
    key: ImageKey | None = None
    limit: int | None = None
    progress: int = 1000
    verbose: bool = False
    dry_run: bool = False
    report: Path | None = None


def positive_int(text: str) -> int:
    """The number in `text`. Raises ArgumentTypeError for anything but a whole number from 1 on."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number from 1 on")
    return int(text)


def image_key(text: str) -> ImageKey:
    """The key in `text`. Raises ArgumentTypeError that says what was expected."""
    try:
        return ImageKey.parse(text)
    except BadName as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def age_seconds(text: str) -> float:
    """The seconds in an age such as 90d, 12h or 30m. Raises ArgumentTypeError that says what was expected."""
    found = re.fullmatch(r"([0-9]{1,6})([dhm])", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r}: expected days, hours or minutes, such as 90d, 12h or 30m")
    return int(found[1]) * {"d": 86400.0, "h": 3600.0, "m": 60.0}[found[2]]


def add_options(parser: argparse.ArgumentParser, *, force: str, jobs: str) -> None:
    """Declare all options. `force` and `jobs` are the help of those two, which each command applies in its own way."""
    add = parser.add_argument
    add("-f", "--force", action="store_true", help=force)
    add("-j", "--jobs", type=positive_int, default=Options.jobs, metavar="N", help=f"{jobs} (%(default)s)")
    add_common_options(parser)


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Declare all options but `--force` and `--jobs`: which images to process, and what to report of them."""
    add = parser.add_argument
    add("-k", "--key", type=image_key, metavar="KEY", help="this image alone, such as 1475660224_0882910455.jpg")
    add("-l", "--limit", type=positive_int, metavar="N", help="process N images at most; skipped ones do not count")
    add(
        "--progress",
        type=positive_int,
        default=Options.progress,
        metavar="N",
        help="without a terminal, write a line every N images (%(default)s)",
    )
    add("-v", "--verbose", action="store_true", help="write a line for each image")
    add("--dry-run", action="store_true", help="say what would be done, and change nothing")
    add(
        "--report",
        type=Path,
        metavar="FILE",
        help="write a line of JSON for each image: image, result, error, reason, bytes",
    )


def options_from(given: argparse.Namespace) -> Options:
    """The options among the parsed arguments. Those that the command does not declare have their defaults."""
    return Options(**{name: value for name, value in vars(given).items() if name in Options.__dataclass_fields__})
