"""The settings of the embedded default, and its defaults for required settings."""

import os
from typing import TypeVar

from common.settings.base import read_settings
from ingest.settings import IngestSettings
from migrator.settings import MigratorSettings
from publisher.settings import PublisherSettings
from resizer.settings import ResizerSettings

# With these, `make run` works without any setting. The secret is known to everybody: it is for trying things out.
DEFAULTS = {
    "API_SECRET_KEY": "not-a-secret",
    "STORAGE_BACKEND": "local",
    "TEMP_FOLDER": "data/temp",
    "INCOMING_FOLDER": "data/incoming",
    "ACTIVE_FOLDER": "data/active",
    "DEMO_PAGE": "1",
}


class StandaloneSettings(IngestSettings, ResizerSettings, PublisherSettings):
    """The settings of ingest, resizer and publisher, without those of the broker."""


class MigrationSettings(MigratorSettings, StandaloneSettings):
    """The settings of the command `migrate`, which renders by itself."""


S = TypeVar("S", bound=StandaloneSettings)


def read(kind: type[S]) -> S:
    """The settings from the environment, with the defaults for what it does not set. Raises SettingsError."""
    given = {key: value for key, value in os.environ.items() if value.strip()}
    on_s3 = given.get("STORAGE_BACKEND") == "s3"  # the folder that the program is started in is not for files then
    defaults = {
        key: value
        for key, value in DEFAULTS.items()
        if f"{key}_FILE" not in given and not (on_s3 and key.endswith("_FOLDER"))
    }
    return read_settings(kind, defaults | given)
