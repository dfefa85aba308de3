"""`python -m publisher clean` and `python -m publisher reconcile`: their options, and all that they are wired of."""

import argparse
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from common.jobs import (
    NOT_POSSIBLE,
    Command,
    Options,
    Outcome,
    Result,
    add_look_options,
    open_tally,
    options_from,
    process_all,
)
from common.messaging.bus import Bus
from common.messaging.outbox import Outbox
from common.settings.base import read_settings
from common.storage.base import Buckets
from common.wiring import open_buckets, open_bus, wait_for_broker
from publisher.audit.findings import PossibleFinding, possible_findings
from publisher.audit.index import BucketIndex
from publisher.audit.scan import read_names, walk
from publisher.audit.verification import Verification
from publisher.context import PublisherContext
from publisher.maintenance.sweep import Candidate, Sweep
from publisher.settings import ProtocolBrokerSettings, ProtocolSettings

_AT_ONCE = 16  # images


def _context(settings: ProtocolSettings, bus: Bus, buckets: Buckets) -> PublisherContext:
    return PublisherContext(buckets=buckets, bus=bus, outbox=Outbox(bus), plan=settings.plan, ttl=settings.incoming_ttl)


async def clean(options: Options) -> int:
    """Sweep once. Returns the exit status. Raises JobFault when it cannot go on."""
    settings = read_settings(ProtocolBrokerSettings)
    async with open_buckets(settings) as buckets, open_bus(settings, "publisher") as bus:
        await buckets.check()
        context = _context(settings, bus, buckets)
        sweep = Sweep(context, settings.temp_folder)
        name = options.key.name if options.key else None
        total = 0
        async for _ in sweep.candidates(thorough=True, name=name):
            total += 1
        with open_tally(min(total, options.limit or total), options) as tally:
            settle = partial(sweep.settle, dry_run=options.dry_run)
            candidates = _at_most(options.limit, sweep.candidates(thorough=True, name=name))
            await process_all(candidates, settle, tally.add, at_once=_AT_ONCE)
        await context.outbox.flush()
    return 0


async def _at_most(limit: int | None, candidates: AsyncIterator[Candidate]) -> AsyncIterator[Candidate]:
    taken = 0
    async for item in candidates:
        yield item
        taken += 1
        if taken == limit:
            return


class Findings:
    """Prints and counts what is wrong."""

    def __init__(self) -> None:
        self.found: Counter[str] = Counter()
        self.settled: Counter[str] = Counter()

    def add(self, outcome: Outcome) -> None:
        """Count how a look ended."""
        if outcome.error is None:
            return
        self.found[outcome.error] += 1
        settled = outcome.result is Result.PROCESSED
        self.settled[outcome.error] += settled
        print(f"{outcome.error} {outcome.image}: {outcome.reason}{' (settled)' if settled else ''}", flush=True)

    @property
    def left(self) -> int:
        """How many are not settled."""
        return self.found.total() - self.settled.total()

    def summary(self, images: int) -> str:
        """The totals, as a whole and by class."""
        totals = f"Images: {images}, findings: {self.found.total()}, settled: {self.settled.total()}, left: {self.left}"
        classes = [f"  {kind}: {self.found[kind]}, settled: {self.settled[kind]}" for kind in sorted(self.found)]
        return "\n".join([totals, *classes])


async def reconcile(*, repair: bool, names: Path | None) -> int:
    """Look at both buckets. Returns the exit status. Raises JobFault when it cannot run, or go on."""
    settings: ProtocolSettings = read_settings(ProtocolBrokerSettings if repair else ProtocolSettings)
    findings = Findings()
    async with AsyncExitStack() as stack:
        buckets = await stack.enter_async_context(open_buckets(settings))
        ledger = await stack.enter_async_context(BucketIndex.open(settings.temp_folder))
        if names is not None:
            await read_names(names, ledger, findings.add)
        await buckets.check()
        context = None
        if isinstance(settings, ProtocolBrokerSettings):
            bus = await stack.enter_async_context(open_bus(settings, "publisher"))
            await wait_for_broker(bus)
            context = _context(settings, bus, buckets)
        inspection = Verification(buckets, settings.plan, context)
        await walk(buckets, ledger, findings.add, after=settings.reconcile_after)
        for outcome in await inspection.unfinished_writes():
            findings.add(outcome)
        suspects = _suspects(ledger, settings, named=names is not None)
        await process_all(suspects, inspection.verify, findings.add, at_once=_AT_ONCE)
        if context is not None:
            await context.outbox.flush()
        print(findings.summary(await ledger.count()), flush=True)
    return 1 if findings.left else 0


async def _suspects(ledger: BucketIndex, settings: ProtocolSettings, *, named: bool) -> AsyncIterator[PossibleFinding]:
    async for page in ledger.pages():
        for listed in page:
            if listed.age >= settings.reconcile_after:  # what is younger is in hand
                for suspicion in possible_findings(listed, settings.plan, named=named):
                    yield suspicion


def _reconcile_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repair", action="store_true", help="settle what is found, as far as that needs no decision")
    parser.add_argument(
        "--names",
        type=Path,
        metavar="FILE",
        help="the names of the originals that the site's database knows, one to a line: report what it does not know "
        "and what it knows in vain",
    )


CLEAN = Command(
    "clean",
    "remove what was never activated, what is left of deleted images, and crops without an image",
    add_look_options,
    lambda given: clean(options_from(given)),
    ProtocolBrokerSettings,
    {0: "all that was due is removed", 2: NOT_POSSIBLE},
    "python -m publisher clean --dry-run --verbose",
)
RECONCILE = Command(
    "reconcile",
    "report what is wrong in the buckets, a line each, and settle it; never touches records of another configuration: "
    "that is what `python -m resizer resize --missing` is for",
    _reconcile_arguments,
    lambda given: reconcile(repair=given.repair, names=given.names),
    ProtocolBrokerSettings,
    {0: "nothing is wrong, or what was is settled", 1: "something is left that is wrong", 2: NOT_POSSIBLE},
    "python -m publisher reconcile --repair",
)
