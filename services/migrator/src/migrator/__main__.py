"""`python -m migrator migrate` migrates and ends; `python -m migrator check` says whether it could."""

from common.cli.command_line import command_line
from common.settings.base import read_settings
from migrator.check import check_v5
from migrator.jobs import MIGRATE
from migrator.settings import MigratorSettings


def read() -> MigratorSettings:
    """The settings from the environment. Raises SettingsError."""
    return read_settings(MigratorSettings)


if __name__ == "__main__":
    command_line(
        "migrator",
        "Moves a site that runs on v5 to this image backend.",
        settings=read,
        kind=MigratorSettings,
        jobs=(MIGRATE,),
        extra_checks=check_v5,
    )
