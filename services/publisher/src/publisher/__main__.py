"""`python -m publisher`: the service; with a command, what its operator needs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from common.cli.command_line import command_line
from common.errors import BusFault
from common.images.names import ImageKey
from common.jobs import Program, dead_letters_command
from common.lifecycle import run
from common.messaging.bus import Bus
from common.settings.base import BrokerSettings, read_settings
from common.storage.base import Buckets
from common.wiring import open_buckets, open_bus, wait_for_broker
from publisher.bootstrap import publisher
from publisher.jobs import clean_command, reconcile_command, trace_command
from publisher.settings import MaintenanceBrokerSettings, MaintenanceSettings, PublisherServiceSettings
from publisher.trace.events import read_queues
from publisher.trace.model import KnownEvents

NAME = "publisher"


def read() -> PublisherServiceSettings:
    """The settings from the environment. Raises SettingsError."""
    return read_settings(PublisherServiceSettings)


async def start() -> None:
    """Run until SIGTERM."""
    settings = read()
    async with (
        open_buckets(settings) as buckets,
        open_bus(settings, NAME) as bus,
        publisher(settings, bus=bus, buckets=buckets) as service,
    ):
        await run(service, bus=bus, buckets=buckets, settings=settings)


@asynccontextmanager
async def all_dead_letters() -> AsyncIterator[Bus]:
    """The bus, which has those of all services. Raises BusFault."""
    async with open_bus(read_settings(BrokerSettings), NAME) as bus:
        await wait_for_broker(bus)
        yield bus


async def known_events(settings: BrokerSettings, _: Buckets, image: ImageKey) -> KnownEvents:
    """What the broker knows of the image's events; or why it cannot be asked."""
    try:
        async with open_bus(settings, NAME) as bus:
            await wait_for_broker(bus)
            return await read_queues(image, bus)
    except BusFault as fault:
        return KnownEvents(unknown=[f"whether an event of it waits, is to be retried or is a dead letter: {fault}"])


MAINTENANCE = Program(
    NAME,
    MaintenanceBrokerSettings,
    partial(read_settings, MaintenanceBrokerSettings),
    lambda settings, _: open_bus(settings, NAME),
)

if __name__ == "__main__":
    command_line(
        NAME,
        "The service that makes images public, edits and deletes them. It serves, unless a command is given.",
        settings=read,
        kind=PublisherServiceSettings,
        serve=start,
        jobs=(
            clean_command(MAINTENANCE),
            reconcile_command(MAINTENANCE, MaintenanceSettings, partial(read_settings, MaintenanceSettings)),
            trace_command(NAME, MaintenanceBrokerSettings, MAINTENANCE.read, known_events, resize="resizer"),
            dead_letters_command(NAME, all_dead_letters, BrokerSettings),
        ),
    )
