"""docker-compose.yml hands every setting on."""

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

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


def test_uploads_wait_as_long_as_in_the_chart() -> None:
    """By default, what cannot be rendered fails at its upload."""
    given = YAML(typ="safe").load(Path("docker-compose.yml"))["services"]["ingest"]["environment"]
    chart = YAML(typ="safe").load(Path("deploy/kubernetes/values.yaml"))["settings"]
    assert given["UPLOAD_WAIT"] == f"${{UPLOAD_WAIT:-{chart['UPLOAD_WAIT']}}}"
