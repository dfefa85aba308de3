"""The commands `clean`, `reconcile` and `dead-letters`: their options and their wiring."""

import argparse
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

from common.jobs import (
    NOT_POSSIBLE,
    Command,
    Options,
    add_common_options,
    dead_letters_command,
    open_tally,
    options_from,
    process_all,
)
from common.messaging.bus import Bus
from common.messaging.outbox import Outbox
from common.settings.base import BrokerSettings, read_settings
from common.storage.base import Buckets
from common.wiring import open_buckets, open_bus, wait_for_broker
from publisher.audit.index import BucketIndex
from publisher.audit.report import FindingReport
from publisher.audit.scan import read_buckets, read_names
from publisher.audit.verification import Verification
from publisher.context import PublisherContext
from publisher.maintenance.sweep import Candidate, Sweep
from publisher.settings import MaintenanceBrokerSettings, MaintenanceSettings

_AT_ONCE = 16  # images


def _context(settings: MaintenanceSettings, bus: Bus, buckets: Buckets) -> PublisherContext:
    return PublisherContext(buckets=buckets, bus=bus, outbox=Outbox(bus), plan=settings.plan, ttl=settings.incoming_ttl)


async def clean(options: Options) -> int:
    """Sweep once. Returns the exit status. Raises JobFault when it cannot go on."""
    settings = read_settings(MaintenanceBrokerSettings)
    async with open_buckets(settings) as buckets, open_bus(settings, "publisher") as bus:
        await buckets.check()
        context = _context(settings, bus, buckets)
        sweep = Sweep(context, settings.temp_folder)
        name = options.key.name if options.key else None
        total = 0
        async for _ in sweep.candidates(thorough=True, name=name):
            total += 1
        with open_tally(min(total, options.limit or total), options) as tally:
            process = partial(sweep.process, dry_run=options.dry_run)
            candidates = _at_most(options.limit, sweep.candidates(thorough=True, name=name))
            await process_all(candidates, process, tally.add, at_once=_AT_ONCE)
        await context.outbox.flush()
    return 0


async def _at_most(limit: int | None, candidates: AsyncIterator[Candidate]) -> AsyncIterator[Candidate]:
    taken = 0
    async for item in candidates:
        yield item
        taken += 1
        if taken == limit:
            return


async def reconcile(*, repair: bool, names: Path | None) -> int:
    """Compare both buckets. Returns the exit status. Raises JobFault when it cannot run, or go on."""
    settings: MaintenanceSettings = read_settings(MaintenanceBrokerSettings if repair else MaintenanceSettings)
    report = FindingReport()
    async with AsyncExitStack() as stack:
        buckets = await stack.enter_async_context(open_buckets(settings))
        index = await stack.enter_async_context(BucketIndex.open(settings.temp_folder))
        if names is not None:
            await read_names(names, index, report.add)
        await buckets.check()
        context = None
        if isinstance(settings, MaintenanceBrokerSettings):
            bus = await stack.enter_async_context(open_bus(settings, "publisher"))
            await wait_for_broker(bus)
            context = _context(settings, bus, buckets)
        verification = Verification(buckets, settings.plan, context)
        await read_buckets(buckets, index, report.add, after=settings.reconcile_after)
        for finding in await verification.unfinished_writes():
            report.add(finding)
        possible = index.possible_findings(settings.plan, after=settings.reconcile_after, named=names is not None)
        await process_all(possible, verification.verify, report.add, at_once=_AT_ONCE)
        if context is not None:
            await context.outbox.flush()
        print(report.summary(await index.count()), flush=True)
    return 1 if report.left else 0


@asynccontextmanager
async def _all_dead_letters() -> AsyncIterator[Bus]:
    """The bus, which has those of all services. Raises BusFault."""
    async with open_bus(read_settings(BrokerSettings), "publisher") as bus:
        await wait_for_broker(bus)
        yield bus


def _reconcile_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--repair",
        action="store_true",
        help="repair what is found, as far as that needs no decision; needs RABBITMQ_URL",
    )
    parser.add_argument(
        "--names",
        type=Path,
        metavar="FILE",
        help="the names of the originals that the site's database knows, one to a line: report public images "
        "that it does not know, and images that it knows and that are not public",
    )


CLEAN = Command(
    "clean",
    "remove what was never activated, what is left of deleted images, and crops without an image",
    add_common_options,
    lambda given: clean(options_from(given)),
    MaintenanceBrokerSettings,
    {0: "all that was due is removed", 2: NOT_POSSIBLE},
    "python -m publisher clean --dry-run --verbose",
)
RECONCILE = Command(
    "reconcile",
    "report what is wrong in the buckets, a line each, and repair it; never touches records of another configuration: "
    "that is what `python -m resizer resize --missing` is for",
    _reconcile_arguments,
    lambda given: reconcile(repair=given.repair, names=given.names),
    MaintenanceSettings,
    {0: "nothing is wrong, or all of it is repaired", 1: "something is left that is wrong", 2: NOT_POSSIBLE},
    "python -m publisher reconcile --repair",
)
DEAD_LETTERS = dead_letters_command("publisher", _all_dead_letters, BrokerSettings)
