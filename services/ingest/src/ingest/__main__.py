"""`python -m ingest`: the service."""

from common.cli.command_line import command_line
from common.lifecycle import run
from common.settings.base import read_settings
from common.wiring import open_buckets, open_bus
from ingest.bootstrap import ingest
from ingest.settings import IngestServiceSettings


def read() -> IngestServiceSettings:
    """The settings from the environment. Raises SettingsError."""
    return read_settings(IngestServiceSettings)


async def start() -> None:
    """Run until SIGTERM."""
    settings = read()
    async with (
        open_buckets(settings) as buckets,
        open_bus(settings, "ingest") as bus,
        ingest(settings, bus=bus, buckets=buckets) as service,
    ):
        await run(service, bus=bus, buckets=buckets, settings=settings)


if __name__ == "__main__":
    command_line(
        "ingest",
        "The service that takes uploads, and tells how far their images are. It serves, unless a command is given.",
        settings=read,
        kind=IngestServiceSettings,
        serve=start,
    )
