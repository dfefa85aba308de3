"""`python -m resizer`: the service; `python -m resizer dead-letters`: what it put aside."""

from common.commands import command_line
from common.service import open_buckets, open_bus, run
from common.settings import read_settings
from common.topology import RESIZER_BULK, RESIZER_FOLLOW_UP, RESIZER_LIVE
from resizer.bootstrap import resizer
from resizer.settings import ResizerServiceSettings


def read() -> ResizerServiceSettings:
    """What the environment says. Raises SettingsError."""
    return read_settings(ResizerServiceSettings)


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
    command_line("resizer", start, (RESIZER_LIVE, RESIZER_FOLLOW_UP, RESIZER_BULK), read)
