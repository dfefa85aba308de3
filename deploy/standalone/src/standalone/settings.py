"""What the embedded default reads from the environment, and what it does without."""

from ingest.settings import IngestSettings
from publisher.settings import PublisherSettings
from resizer.settings import ResizerSettings

# A newcomer should see a photo before a settings file. The secret is no secret, and is fine here alone.
DEFAULTS = {
    "API_SECRET_KEY": "not-a-secret",
    "STORAGE_BACKEND": "local",
    "TEMP_FOLDER": "data/temp",
    "INCOMING_FOLDER": "data/incoming",
    "ACTIVE_FOLDER": "data/active",
}


class StandaloneSettings(IngestSettings, ResizerSettings, PublisherSettings):
    """The settings of all services but the broker's."""
