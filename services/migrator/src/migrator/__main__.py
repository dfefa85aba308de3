"""`python -m migrator migrate` migrates and ends; `python -m migrator check` says whether it could."""

from common.cli.command_line import command_line
from common.jobs import Program
from common.settings.base import read_settings
from common.wiring import open_bus
from migrator.check import check_v5
from migrator.jobs import migrate_command
from migrator.settings import MigratorServiceSettings


def read() -> MigratorServiceSettings:
    """The settings from the environment. Raises SettingsError."""
    return read_settings(MigratorServiceSettings)


PROGRAM = Program("migrator", MigratorServiceSettings, read, lambda settings, _: open_bus(settings, "migrator"))

if __name__ == "__main__":
    command_line(
        "migrator",
        "Moves a site that runs on v5 to this image backend.",
        settings=read,
        kind=MigratorServiceSettings,
        jobs=(migrate_command(PROGRAM),),
        extra_checks=check_v5,
    )
