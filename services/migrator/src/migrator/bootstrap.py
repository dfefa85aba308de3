"""The only wiring of the migrator."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

from common.errors import JobFault
from common.images.names import TOMBSTONES
from common.images.plan import Plan
from common.jobs import Options, Outcome, Result, Tally, Thumbnails, open_tally, process_all
from common.sandbox.pool import Pool
from common.storage.base import Buckets
from common.wiring import open_buckets, open_bus, wait_for_broker
from migrator.checkpoint import DELETED, Checkpoint
from migrator.database import TABLE, pages
from migrator.estimate import Estimate
from migrator.index import ArchivedImage, MigrationIndex
from migrator.migration import Migration, migrate
from migrator.rate_limit import RateLimit
from migrator.settings import MigratorSettings
from migrator.source import open_source

_DECODERS = 2  # they read headers alone
# Images that are being fetched or rendered: enough for the resizers never to wait, and few to begin again after a kill.
_IN_FLIGHT = 128
_BATCH = 1000  # names


async def run(settings: MigratorSettings, options: Options, *, rate: float | None) -> int:
    """Migrate; returns 0 when every image ended well, else 1. Raises JobFault when it cannot run, or go on."""
    async with (
        open_buckets(settings) as buckets,
        MigrationIndex.open(settings.temp_folder) as ledger,
        open_source(settings) as source,
        open_bus(settings, "migrator") as bus,
        Pool.open(_DECODERS, settings.limits) as pool,
    ):
        await buckets.check()
        thumbnails = Thumbnails(buckets, bus, settings.plan, "/migrator")
        await bus.consume((), thumbnails.on_event)
        await wait_for_broker(bus)
        checkpoint = Checkpoint(buckets.incoming, "migrate")
        await _list(ledger, settings, buckets, checkpoint)
        migration = Migration(
            buckets=buckets,
            source=source,
            pool=pool,
            thumbnails=thumbnails,
            checkpoint=checkpoint,
            stages=settings.plan.stages,
            state=_state(settings.plan),
            temporary=settings.temp_folder,
            fetching=asyncio.Semaphore(options.jobs),
            pace=RateLimit(rate),
            force=options.force,
        )
        with open_tally(await _count(ledger, options), options) as tally:
            items = _unfinished(ledger, settings, migration, options, tally)
            if options.dry_run:
                foresight = Estimate(migration, options.jobs)
                await process_all(items, foresight.look, tally.add, at_once=_IN_FLIGHT)
                tally.print_line(foresight.summary())
                return 0
            try:
                await process_all(items, partial(migrate, migration=migration), tally.add, at_once=_IN_FLIGHT)
            finally:
                await checkpoint.write()
    return 1 if tally.results[Result.ERROR] else 0


async def _list(ledger: MigrationIndex, settings: MigratorSettings, buckets: Buckets, checkpoint: Checkpoint) -> None:
    async for page in pages(settings.v5_database_url):
        await ledger.add_rows(page)
    await checkpoint.load(ledger)
    batch: list[str] = []
    async for entry in buckets.incoming.entries(TOMBSTONES):
        batch.append(entry.key.removeprefix(TOMBSTONES))
        if len(batch) >= _BATCH:
            await ledger.add_deleted(batch)
            batch.clear()
    await ledger.add_deleted(batch)


async def _count(ledger: MigrationIndex, options: Options) -> int:
    if options.key is None:
        return await ledger.count()
    if await ledger.of_name(options.key.name) is None:
        raise JobFault(f"{options.key} is not in {TABLE}: expected the name of one of its images")
    return 1


async def _unfinished(
    ledger: MigrationIndex, settings: MigratorSettings, migration: Migration, options: Options, tally: Tally
) -> AsyncIterator[ArchivedImage]:
    """What an earlier run has not finished; the rest is counted at once."""
    taken = 0
    if options.key is not None:
        listed = await ledger.of_name(options.key.name)
        assert listed is not None
        if listed.state == DELETED:
            tally.add(Outcome(str(listed), Result.SKIPPED, "deleted"))
        else:
            yield listed
        return
    async for page in ledger.pages(settings.v5_order):
        for listed in page:
            if listed.state == DELETED:
                tally.add(Outcome(str(listed), Result.SKIPPED, "deleted"))
            elif listed.state == migration.finished(listed) and not listed.deleted and not options.force:
                tally.add(Outcome(str(listed), Result.SKIPPED))
            else:
                taken += 1
                yield listed
                if taken == options.limit:
                    return


def _state(plan: Plan) -> str:
    return ":".join(plan.configuration(stage) for stage in plan.stages)
