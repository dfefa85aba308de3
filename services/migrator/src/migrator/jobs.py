"""`python -m migrator migrate`: its options, and the wiring of the whole run."""

import argparse
import asyncio
from functools import partial
from typing import TypeVar

from common.images.plan import Plan
from common.jobs import (
    NOT_POSSIBLE,
    BulkRendering,
    Command,
    Options,
    Program,
    Result,
    add_options,
    open_tally,
    options_from,
    process_all,
)
from common.sandbox.pool import Pool
from common.wiring import open_buckets, wait_for_broker
from migrator.checkpoint import Checkpoint
from migrator.estimate import MigrationEstimate
from migrator.index import MigrationIndex
from migrator.migration import Migration, migrate_image
from migrator.rate_limit import RateLimit
from migrator.settings import MigratorSettings
from migrator.source import open_source
from migrator.unfinished import count_images, fill_index, unfinished_images

M = TypeVar("M", bound=MigratorSettings)

_DECODERS = 2  # they only read headers
# Images that are being fetched or rendered at once. Enough to keep the resizers busy; few to repeat after a kill.
_IN_FLIGHT = 128


async def migrate(program: Program[M], options: Options, *, rate: float | None) -> int:
    """Migrate all images; `rate` is how many originals a second may be fetched. Returns the exit status.

    Raises JobFault when the job cannot run, or cannot go on.
    """
    settings = program.read()
    async with (
        open_buckets(settings) as buckets,
        MigrationIndex.open(settings.temp_folder) as index,
        open_source(settings) as source,
        program.open_bus(settings, buckets) as bus,
        Pool.open(_DECODERS, settings.limits) as pool,
    ):
        await buckets.check()
        rendering = BulkRendering(buckets, bus, settings.plan, "/migrator")
        await bus.consume((), rendering.on_event)
        await wait_for_broker(bus)
        checkpoint = Checkpoint(buckets.incoming, "migrate")
        await fill_index(index, settings.v5_database_url, checkpoint, buckets.incoming)
        migration = Migration(
            buckets=buckets,
            source=source,
            pool=pool,
            rendering=rendering,
            checkpoint=checkpoint,
            stages=settings.plan.stages,
            state=_state(settings.plan),
            temporary=settings.temp_folder,
            fetch_slots=asyncio.Semaphore(options.jobs),
            rate_limit=RateLimit(rate),
            force=options.force,
        )
        with open_tally(await count_images(index, options), options) as tally:
            images = unfinished_images(index, settings.v5_order, migration, options, tally)
            if options.dry_run:
                estimate = MigrationEstimate(migration, options.jobs)
                await process_all(images, estimate.add, tally.add, at_once=_IN_FLIGHT)
                tally.print_line(estimate.summary())
                return 0
            try:
                await process_all(images, partial(migrate_image, migration=migration), tally.add, at_once=_IN_FLIGHT)
            finally:
                await checkpoint.write()
    return 1 if tally.results[Result.ERROR] else 0


def _state(plan: Plan) -> str:
    return ":".join(plan.configuration(stage) for stage in plan.stages)


def _migrate_arguments(parser: argparse.ArgumentParser) -> None:
    add_options(
        parser,
        force="render again what has been rendered; public originals are never written over",
        jobs="fetch N originals at once",
    )
    parser.add_argument("--rate", type=_rate, metavar="N", help="fetch N originals a second at most")


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number above 0")
    return rate


def migrate_command(program: Program[M]) -> Command:
    """The command `migrate` of the program."""
    return Command(
        "migrate",
        "bring over all images of the v5 database, and have their thumbnails made",
        _migrate_arguments,
        lambda given: migrate(program, options_from(given), rate=given.rate),
        program.settings,
        {0: "every image ended well", 1: "some did not; --report says which", 2: NOT_POSSIBLE},
        f"python -m {program.name} migrate --report moved.jsonl",
    )
