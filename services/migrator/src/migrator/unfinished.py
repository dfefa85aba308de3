"""Which images a run still has to migrate: those of the v5 database that no earlier run finished."""

from collections.abc import AsyncIterator

from common.errors import JobFault
from common.images.names import TOMBSTONES
from common.jobs import Options, Outcome, Result, Tally
from common.storage.base import Storage
from migrator.checkpoint import DELETED, Checkpoint
from migrator.database import TABLE, pages
from migrator.index import ArchivedImage, MigrationIndex
from migrator.migration import Migration

_BATCH = 1000  # tombstones that are added to the index at once


async def fill_index(index: MigrationIndex, database_url: str, checkpoint: Checkpoint, incoming: Storage) -> None:
    """Put the rows of the v5 database, the checkpoint and the tombstones into the index.

    Raises JobFault when the database cannot be read, and StorageFault.
    """
    async for page in pages(database_url):
        await index.add_rows(page)
    await checkpoint.load(index)
    batch: list[str] = []
    async for entry in incoming.entries(TOMBSTONES):
        batch.append(entry.key.removeprefix(TOMBSTONES))
        if len(batch) >= _BATCH:
            await index.add_deleted(batch)
            batch.clear()
    await index.add_deleted(batch)


async def count_images(index: MigrationIndex, options: Options) -> int:
    """How many images the run looks at. Raises JobFault when the one that was asked for is not in the database."""
    if options.key is None:
        return await index.count()
    if await index.of_name(options.key.name) is None:
        raise JobFault(f"{options.key} is not in {TABLE}: expected the name of one of its images")
    return 1


async def unfinished_images(
    index: MigrationIndex, order: str, migration: Migration, options: Options, tally: Tally
) -> AsyncIterator[ArchivedImage]:
    """The images to migrate, in the order of their ids, `ASC` or `DESC`. The tally counts the others as skipped."""
    if options.key is not None:
        archived = await index.of_name(options.key.name)
        assert archived is not None
        if archived.state == DELETED:
            tally.add(Outcome(str(archived), Result.SKIPPED, remark="deleted"))
        else:
            yield archived
        return
    taken = 0
    async for page in index.pages(order):
        for archived in page:
            if archived.state == DELETED:
                tally.add(Outcome(str(archived), Result.SKIPPED, remark="deleted"))
            elif _is_finished(archived, migration) and not options.force:
                tally.add(Outcome(str(archived), Result.SKIPPED))
            else:
                taken += 1
                yield archived
                if taken == options.limit:
                    return


def _is_finished(archived: ArchivedImage, migration: Migration) -> bool:
    """Whether an earlier run finished the image. One that has a tombstone since is looked at again."""
    return archived.state == migration.finished_state(archived) and not archived.has_tombstone
