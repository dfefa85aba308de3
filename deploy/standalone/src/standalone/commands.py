"""The commands of the embedded default. Without a broker, a command handles its events in its own process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from common.jobs import Program, dead_letters_command
from common.messaging.embedded import EmbeddedBus
from common.storage.base import Buckets
from migrator.jobs import migrate_command
from publisher.bootstrap import publisher
from publisher.jobs import clean_command, reconcile_command, trace_command
from resizer.bootstrap import resizer
from resizer.jobs import resize_command
from standalone.dead_letters import known_events, open_letters, stored_letters
from standalone.settings import MigrationSettings, StandaloneSettings, read

_NAME = "standalone"


@asynccontextmanager
async def open_handling_bus(settings: StandaloneSettings, buckets: Buckets) -> AsyncIterator[EmbeddedBus]:
    """A bus that handles events as the resizer and the publisher do, with decoders of its own.

    At the end it handles what still waits. What is to be retried later is left to the process that serves, or to the
    next run: the buckets say what is still to be done.
    """
    bus = EmbeddedBus(letters=stored_letters(buckets.incoming))
    async with (
        resizer(settings, bus=bus, buckets=buckets) as rendering,
        publisher(settings, bus=bus, buckets=buckets) as moving,
    ):
        await bus.consume((*rendering.subscriptions, *moving.subscriptions))
        try:
            yield bus
            await bus.wait_until_handled()
        finally:
            await bus.drain(settings.shutdown_timeout)


_READ = partial(read, StandaloneSettings)
_PROGRAM = Program(_NAME, StandaloneSettings, _READ, open_handling_bus)

COMMANDS = (
    resize_command(_PROGRAM),
    clean_command(_PROGRAM),
    reconcile_command(_PROGRAM, StandaloneSettings, _READ),
    migrate_command(Program(_NAME, MigrationSettings, partial(read, MigrationSettings), open_handling_bus)),
    trace_command(_NAME, StandaloneSettings, _READ, known_events, resize=_NAME),
    dead_letters_command(_NAME, open_letters, StandaloneSettings),
)
