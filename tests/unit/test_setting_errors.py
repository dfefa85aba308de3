"""What is said of each setting of each service when it is missing or malformed: one sentence that names it."""

import re

import pytest

from common.errors import SettingsError
from common.settings.base import Settings, read_settings
from ingest.settings import IngestServiceSettings
from migrator.settings import MigratorServiceSettings
from publisher.settings import PublisherServiceSettings
from resizer.settings import ResizerServiceSettings
from standalone.settings import DEFAULTS, StandaloneSettings

SERVICES = (
    IngestServiceSettings,
    ResizerServiceSettings,
    PublisherServiceSettings,
    MigratorServiceSettings,
    StandaloneSettings,
)
GIVEN = DEFAULTS | {
    "RABBITMQ_URL": "amqp://guest:guest@localhost/",
    "V5_DATABASE_URL": "postgresql://reader:secret@localhost/v5",
    "V5_IMAGES": "https://v5.example/images",
}
# Values that hardly any setting can have.
ODD = (
    "maybe",
    "-1",
    "0",
    "1e400",
    "nan",
    "1.5",
    "999999999999999999999",
    "a\nb",
    "ftp://host/x",
    "é" * 100,
    "[{",
    "{}",
)


def said(kind: type[Settings], given: dict[str, str]) -> list[str]:
    try:
        read_settings(kind, given)
    except SettingsError as error:
        return error.lines
    return []


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in SERVICES for name in kind.model_fields])
def test_a_malformed_setting_is_one_sentence(kind: type[Settings], name: str) -> None:
    variable = name.upper()
    any_ttl = {"RECONCILE_AFTER": "0", "ACTIVATION_WAIT": "0"}
    for value in ODD:
        lines = [line for line in said(kind, GIVEN | any_ttl | {variable: value}) if " is not set" not in line]
        for line in lines:
            assert len(lines) == 1, lines
            assert "\n" not in line
            assert variable in line
            assert line.count(" cannot be used: ") <= 1
            assert line.count("expected ") == 1, "what was expected is said, and once"
            assert not re.search(r"Input should|Value error|String should|pydantic|None|[;<>]|\(\?", line), line
            assert len(line) < 400, line
            assert re.fullmatch(r"expected [^\s:;].*[^\s:;,]", line[line.index("expected ") :])


@pytest.mark.parametrize("kind", SERVICES)
def test_a_missing_setting_is_one_sentence(kind: type[Settings]) -> None:
    needed = {name.upper() for name, field in kind.model_fields.items() if field.is_required()}
    lines = said(kind, {})
    assert {line.split()[0] for line in lines} == needed
    for line in lines:
        assert re.fullmatch(r"[A-Z0-9_]+ is not set: expected \S.*", line)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (
            {"GENERATE_WEBP": "maybe"},
            "GENERATE_WEBP 'maybe' cannot be used: expected 1, true, yes or on, or 0, false, no or off",
        ),
        ({"SERVICE_PORT": "http"}, "SERVICE_PORT 'http' cannot be used: expected a whole number from 0 to 65535"),
        ({"SERVICE_PORT": "65536"}, "SERVICE_PORT '65536' cannot be used: expected a whole number from 0 to 65535"),
        ({"EDIT_WAIT": "0"}, "EDIT_WAIT '0' cannot be used: expected a number above 0"),
        ({"EDIT_WAIT": "inf"}, "EDIT_WAIT 'inf' cannot be used: expected a number above 0"),
        ({"ACTIVATION_WAIT": "-1"}, "ACTIVATION_WAIT '-1' cannot be used: expected a number from 0 on"),
        ({"MAX_PIXELS": "0"}, "MAX_PIXELS '0' cannot be used: expected a whole number above 0"),
        ({"STORAGE_BACKEND": "ftp"}, "STORAGE_BACKEND 'ftp' cannot be used: expected local or s3"),
        ({"S3_SIGNATURE_VERSION": "v2"}, "S3_SIGNATURE_VERSION 'v2' cannot be used: expected s3v4 or s3"),
        *(
            (
                {"RABBITMQ_URL": url},
                (
                    "RABBITMQ_URL cannot be used: expected amqp://USER:PASSWORD@HOST:PORT/VHOST, or amqps://, "
                    "and for several nodes the whole of it for each, separated by commas"
                ),
            )
            for url in (
                "http://user:password@host",
                "amqp://user:password@one:5672,two:5672/",
                "amqp://user:password@one,two/",
                "amqp://user:password@one/,two",
                "amqp://user:password@one/,http://user:password@two/",
                "amqp://user:password@one/,amqp://",
                "amqp://user:password@one/,",
                "amqp://user:password@one:port/",
            )
        ),
    ],
)
def test_sentences(given: dict[str, str], line: str) -> None:
    assert said(PublisherServiceSettings, GIVEN | given) == [line]
