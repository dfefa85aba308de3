"""`python -m resizer resize`: its options, and its wiring."""

import argparse
import re
from functools import partial
from typing import TypeVar

from common.errors import JobFault
from common.images.records import Stage
from common.jobs import (
    NOT_POSSIBLE,
    BulkRendering,
    Command,
    Options,
    Program,
    Result,
    add_options,
    age_seconds,
    open_tally,
    options_from,
    process_all,
)
from common.sandbox.pool import Pool
from common.wiring import open_buckets, wait_for_broker
from resizer.estimate import RegenerationEstimate
from resizer.regeneration import Regeneration, Selection, pending_images, regenerate, selected_images
from resizer.rendering import Renderer
from resizer.settings import ResizerSettings

R = TypeVar("R", bound=ResizerSettings)

# Images that are being rendered at once: enough for the resizers never to wait.
_IN_FLIGHT = 128


async def resize(program: Program[R], options: Options, selection: Selection) -> int:
    """Have the resizers make the selected images' thumbnails anew.

    Returns the exit status: 0 when every image ended well, else 1. Raises JobFault when it cannot run, or go on.
    """
    settings = program.read()
    if selection.stage is not None and selection.stage not in settings.plan.stages:
        raise JobFault("--stage modern: expected GENERATE_WEBP or GENERATE_AVIF to be set")
    async with open_buckets(settings) as buckets, program.open_bus(settings, buckets) as bus:
        await buckets.check()
        rendering = BulkRendering(buckets, bus, settings.plan, "/resizer")
        stages = tuple(stage for stage in settings.plan.stages if selection.stage in (None, stage))
        regeneration = Regeneration(buckets, rendering, selection, stages, options.jobs)
        total = 0
        async for _ in selected_images(buckets.active, selection):
            total += 1
        if selection.key is not None and not total:
            raise JobFault(f"{selection.key} is not public: expected the name of an image in the public bucket")
        with open_tally(total, options) as tally:
            found = pending_images(tally, options.limit, regeneration=regeneration)
            if options.dry_run:
                estimate = RegenerationEstimate()
                await process_all(found, estimate.count, tally.add, at_once=1)
                async with Pool.open(1, settings.limits) as pool:
                    tally.print_line(await estimate.summary(Renderer(pool, settings.plan), buckets.active))
                return 0
            await bus.consume((), rendering.on_event)
            await wait_for_broker(bus)
            await process_all(found, partial(regenerate, regeneration=regeneration), tally.add, at_once=_IN_FLIGHT)
    return 1 if tally.results[Result.ERROR] else 0


def _arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `resize`."""
    add_options(
        parser,
        force="with --missing: also images that could not be rendered before",
        jobs="read the records of N images at once",
    )
    add = parser.add_argument
    add("--missing", action="store_true", help="only images without thumbnails of today's settings")
    add(
        "--stage",
        type=Stage,
        choices=list(Stage),
        help="only the thumbnails of this stage: base, or modern (WebP and AVIF)",
    )
    add("--prefix", type=_prefix, metavar="DIGITS", help="only images whose name begins with this, such as 14756")
    add("--older", type=age_seconds, metavar="AGE", help="only images uploaded longer ago than this: 90d, 12h, 30m")
    add("--younger", type=age_seconds, metavar="AGE", help="only images uploaded no longer ago than this")


def _selection(given: argparse.Namespace) -> Selection:
    options = options_from(given)
    return Selection(
        missing=given.missing,
        stage=given.stage,
        key=options.key,
        prefix=given.prefix or "",
        older=given.older,
        younger=given.younger,
        failed=options.force,
    )


def _prefix(text: str) -> str:
    if not re.fullmatch(r"[0-9]+(_[0-9]*)?", text):
        raise argparse.ArgumentTypeError(f"{text!r}: expected the beginning of a name, such as 1475")
    return text


def _resume(arguments: list[str]) -> tuple[str, list[str]]:
    """How to go on with a run that was stopped: without --missing, the same command would begin from the start."""
    if "--missing" in arguments or "--dry-run" in arguments:
        return "this goes on", arguments
    return "this goes on with what has no thumbnails of today's settings", ["--missing", *arguments]


def resize_command(program: Program[R]) -> Command:
    """The command `resize` of the program."""
    return Command(
        "resize",
        "make the thumbnails of public images anew",
        _arguments,
        lambda given: resize(program, options_from(given), _selection(given)),
        program.settings,
        {0: "every image ended well", 1: "some did not; --report says which", 2: NOT_POSSIBLE},
        f"python -m {program.name} resize --missing",
        _resume,
    )
