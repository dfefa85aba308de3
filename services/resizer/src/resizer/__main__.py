"""`python -m resizer`: the service; with a command, what its operator needs."""

from common.cli.command_line import command_line
from common.jobs import Program
from common.lifecycle import run
from common.settings.base import read_settings
from common.wiring import open_buckets, open_bus
from resizer.bootstrap import resizer
from resizer.capacity_command import CAPACITY
from resizer.jobs import resize_command
from resizer.settings import ResizerServiceSettings


def read() -> ResizerServiceSettings:
    """The settings from the environment. Raises SettingsError."""
    return read_settings(ResizerServiceSettings)


PROGRAM = Program("resizer", ResizerServiceSettings, read, lambda settings, _: open_bus(settings, "resize"))


async def start() -> None:
    """Run until SIGTERM."""
    settings = read()
    async with (
        open_buckets(settings) as buckets,
        open_bus(settings, "resizer") as bus,
        resizer(settings, buckets=buckets, bus=bus) as service,
    ):
        await run(service, bus=bus, buckets=buckets, settings=settings)


if __name__ == "__main__":
    command_line(
        "resizer",
        "The service that makes the variants of images. It serves, unless a command is given.",
        settings=read,
        kind=ResizerServiceSettings,
        serve=start,
        jobs=(resize_command(PROGRAM), CAPACITY),
    )
