"""The commands `clean`, `reconcile` and `trace`: their options and their wiring."""

import argparse
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TypeVar

from common.errors import JobFault
from common.images.names import ImageKey
from common.jobs import (
    NOT_POSSIBLE,
    Command,
    Options,
    Program,
    add_common_options,
    image_key,
    open_tally,
    options_from,
    process_all,
)
from common.messaging.bus import Bus
from common.messaging.outbox import Outbox
from common.storage.base import Buckets
from common.storage.check import missing_folders, removing_new_folders
from common.storage.folder import TEMPORARY
from common.wiring import open_buckets, wait_for_broker
from publisher.activation import read_pending_crop
from publisher.audit.index import BucketIndex
from publisher.audit.report import FindingReport
from publisher.audit.scan import read_buckets, read_names
from publisher.audit.verification import Verification
from publisher.context import PublisherContext
from publisher.maintenance.sweep import Candidate, Sweep
from publisher.settings import MaintenanceSettings
from publisher.trace.buckets import read_image
from publisher.trace.model import KnownEvents, Trace
from publisher.trace.pending import Rules
from publisher.trace.text import describe

M = TypeVar("M", bound=MaintenanceSettings)
OpenBus = Callable[[Buckets], AbstractAsyncContextManager[Bus]]
ReadEvents = Callable[[M, Buckets, ImageKey], Awaitable[KnownEvents]]

_AT_ONCE = 16  # images


def _context(settings: MaintenanceSettings, bus: Bus, buckets: Buckets) -> PublisherContext:
    return PublisherContext(buckets=buckets, bus=bus, outbox=Outbox(bus), plan=settings.plan, ttl=settings.incoming_ttl)


async def clean(program: Program[M], options: Options) -> int:
    """Sweep once. Returns the exit status. Raises JobFault when it cannot go on."""
    settings = program.read()
    async with open_buckets(settings) as buckets, program.open_bus(settings, buckets) as bus:
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


async def reconcile(settings: MaintenanceSettings, names: Path | None, open_bus: OpenBus | None = None) -> int:
    """Compare both buckets and, with a bus, repair them. Returns the exit status.

    Raises JobFault when it cannot run, or go on.
    """
    report = FindingReport()
    async with AsyncExitStack() as stack:
        buckets = await stack.enter_async_context(open_buckets(settings))
        index = await stack.enter_async_context(BucketIndex.open(settings.temp_folder))
        if names is not None:
            await read_names(names, index, report.add)
        await buckets.check()
        context = None
        if open_bus is not None:
            bus = await stack.enter_async_context(open_bus(buckets))
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


async def trace(settings: M, image: ImageKey, read_events: ReadEvents[M], programs: tuple[str, str]) -> Trace:
    """Everything known of the image. `programs` are those with its own commands and with `resize`.

    Raises JobFault where a folder is missing, and StorageFault.
    """
    if (missing := missing_folders(settings.bucket_folders)) is not None:
        raise JobFault(missing)
    made = (settings.temp_folder, *(folder / TEMPORARY for folder in settings.bucket_folders.values()))
    with removing_new_folders(*made):
        async with open_buckets(settings) as buckets:
            await buckets.check()
            events = await read_events(settings, buckets, image)
            found = await read_image(image, buckets=buckets, plan=settings.plan)
            requested = None if found.crop is None else await read_pending_crop(image, buckets=buckets) is None
    rules = Rules(settings.incoming_ttl, settings.reconcile_after, *programs)
    return Trace(
        image=image,
        state=found.status.state,
        settled=found.status.settled,
        reason=found.status.reason,
        objects=found.objects,
        records=found.records,
        crop=None if found.crop is None else found.crop.geometry.text,
        crop_requested=requested,
        tombstone=found.tombstone,
        events=events,
        pending=rules.pending(found, events),
    )


def _trace_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "key", type=image_key, metavar="KEY", help="the image's name, such as 1475660224_0882910455.jpg"
    )
    parser.add_argument("--json", action="store_true", help="write a line of JSON, for a program")


def _reconcile_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--repair",
        action="store_true",
        help="repair what is found, as far as that needs no decision; over RabbitMQ it needs RABBITMQ_URL",
    )
    parser.add_argument(
        "--names",
        type=Path,
        metavar="FILE",
        help="the names of the originals that the site's database knows, one to a line: report public images "
        "that it does not know, and images that it knows and that are not public",
    )


def clean_command(program: Program[M]) -> Command:
    """The command `clean` of the program."""
    return Command(
        "clean",
        "remove what was never activated, what is left of deleted images, and crops without an image",
        add_common_options,
        lambda given: clean(program, options_from(given)),
        program.settings,
        {0: "all that was due is removed", 2: NOT_POSSIBLE},
        f"python -m {program.name} clean --dry-run --verbose",
    )


def reconcile_command(
    program: Program[M], settings: type[MaintenanceSettings], read: Callable[[], MaintenanceSettings]
) -> Command:
    """The command `reconcile` of the program. `settings`, which `read` reads, are all it needs unless it repairs."""

    def run(given: argparse.Namespace) -> Coroutine[None, None, int]:
        if not given.repair:
            return reconcile(read(), given.names)
        repairing = program.read()
        return reconcile(repairing, given.names, partial(program.open_bus, repairing))

    return Command(
        "reconcile",
        "report what is wrong in the buckets, a line each, and repair it; never touches records of another "
        "configuration: that is what `resize --missing` is for",
        _reconcile_arguments,
        run,
        settings,
        {0: "nothing is wrong, or all of it is repaired", 1: "something is left that is wrong", 2: NOT_POSSIBLE},
        f"python -m {program.name} reconcile --repair",
    )


def trace_command(
    name: str, settings: type[M], read: Callable[[], M], read_events: ReadEvents[M], resize: str
) -> Command:
    """The command `trace` of the program `name`. `resize` is the program that has the command of that name."""

    async def run(given: argparse.Namespace) -> int:
        found = await trace(read(), given.key, read_events, (name, resize))
        print(found.model_dump_json() if given.json else describe(found), flush=True)
        return 0

    return Command(
        "trace",
        "tell everything known of one image: its objects, records, events, and what is to be done about it; "
        "it changes nothing",
        _trace_arguments,
        run,
        settings,
        {0: "it is told, also of a name that is not known", 2: NOT_POSSIBLE},
        f"python -m {name} trace 1475660224_0882910455.jpg",
    )
