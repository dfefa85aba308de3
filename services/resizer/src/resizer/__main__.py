"""`python -m resizer`: the service; `resize`: thumbnails made anew; `dead-letters`: what it put aside."""

import argparse
import re

from common.cli.command_line import command_line
from common.images.records import Stage
from common.jobs import NOT_POSSIBLE, Command, add_options, options_from
from common.lifecycle import run
from common.messaging.topology import RESIZER_BULK, RESIZER_FOLLOW_UP, RESIZER_LIVE
from common.settings.base import read_settings
from common.wiring import open_buckets, open_bus
from resizer.bootstrap import resize, resizer
from resizer.regeneration import Selection
from resizer.settings import ResizerServiceSettings


def read() -> ResizerServiceSettings:
    """What the environment says. Raises SettingsError."""
    return read_settings(ResizerServiceSettings)


async def start() -> None:
    """Run until SIGTERM."""
    settings = read()
    async with (
        open_buckets(settings) as buckets,
        open_bus(settings, "resizer") as bus,
        resizer(settings, buckets=buckets, bus=bus) as service,
    ):
        await run(service, bus=bus, buckets=buckets, settings=settings)


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `resize`."""
    add_options(parser, force="with --missing: also what could not be rendered before")
    add = parser.add_argument
    add("--missing", action="store_true", help="only what has no thumbnails of today's settings")
    add("--stage", type=Stage, choices=list(Stage), help="only these: base, or modern (WebP and AVIF)")
    add("--prefix", type=_prefix, metavar="DIGITS", help="only images whose name begins with this")
    add("--older", type=_seconds, metavar="AGE", help="only images uploaded longer ago than this, such as 90d or 12h")
    add("--younger", type=_seconds, metavar="AGE", help="only images uploaded since then")


async def start_resize(given: argparse.Namespace) -> int:
    """Make thumbnails anew. Returns the exit status."""
    options = options_from(given)
    selection = Selection(
        missing=given.missing,
        stage=given.stage,
        key=options.key,
        prefix=given.prefix or "",
        older=given.older,
        younger=given.younger,
        failed=options.force,
    )
    return await resize(read(), options, selection)


def _prefix(text: str) -> str:
    if not re.fullmatch(r"[0-9]+(_[0-9]*)?", text):
        raise argparse.ArgumentTypeError(f"{text!r}: expected the beginning of a name, such as 1475")
    return text


def _seconds(text: str) -> float:
    found = re.fullmatch(r"([0-9]{1,6})([dhm])", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r}: expected days, hours or minutes, such as 90d, 12h or 30m")
    return int(found[1]) * {"d": 86400.0, "h": 3600.0, "m": 60.0}[found[2]]


def resume_resize(arguments: list[str]) -> tuple[str, list[str]]:
    """How to go on with a run that was stopped: without --missing, the same command would begin from the start."""
    if "--missing" in arguments or "--dry-run" in arguments:
        return "this goes on", arguments
    return "this goes on with what has no thumbnails of today's settings", ["--missing", *arguments]


RESIZE = Command(
    "resize",
    "make the thumbnails of public images anew",
    arguments,
    start_resize,
    ResizerServiceSettings,
    {0: "every image ended well", 1: "some did not; --report says which", 2: NOT_POSSIBLE},
    "python -m resizer resize --missing",
    resume_resize,
)

if __name__ == "__main__":
    command_line(
        "resizer",
        "The service that makes the smaller versions of images. It serves, unless a command is given.",
        settings=read,
        kind=ResizerServiceSettings,
        serve=start,
        queues=(RESIZER_LIVE, RESIZER_FOLLOW_UP, RESIZER_BULK),
        jobs=(RESIZE,),
    )
