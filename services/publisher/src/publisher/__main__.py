"""`python -m publisher`: the service; with a command, what its operator needs."""

from common.cli.command_line import command_line
from common.lifecycle import run
from common.settings.base import read_settings
from common.wiring import open_buckets, open_bus
from publisher.bootstrap import publisher
from publisher.jobs import CLEAN, DEAD_LETTERS, RECONCILE
from publisher.settings import PublisherServiceSettings


def read() -> PublisherServiceSettings:
    """The settings from the environment. Raises SettingsError."""
    return read_settings(PublisherServiceSettings)


async def start() -> None:
    """Run until SIGTERM."""
    settings = read()
    async with (
        open_buckets(settings) as buckets,
        open_bus(settings, "publisher") as bus,
        publisher(settings, bus=bus, buckets=buckets) as service,
    ):
        await run(service, bus=bus, buckets=buckets, settings=settings)


if __name__ == "__main__":
    command_line(
        "publisher",
        "The service that makes images public, edits and deletes them. It serves, unless a command is given.",
        settings=read,
        kind=PublisherServiceSettings,
        serve=start,
        jobs=(CLEAN, RECONCILE, DEAD_LETTERS),
    )
