"""docker-compose.yml hands every setting on."""

import re
from pathlib import Path

import pytest

from common.settings.base import Settings
from ingest.settings import IngestServiceSettings
from migrator.settings import MigratorServiceSettings
from publisher.settings import PublisherServiceSettings
from resizer.settings import ResizerServiceSettings


@pytest.mark.parametrize(
    "kind", [IngestServiceSettings, PublisherServiceSettings, ResizerServiceSettings, MigratorServiceSettings]
)
def test_every_setting_can_be_given(kind: type[Settings]) -> None:
    handed_on = set(re.findall(r"^ +([A-Z0-9_]+):", Path("docker-compose.yml").read_text(), re.MULTILINE))
    assert {name.upper() for name in kind.model_fields} <= handed_on
