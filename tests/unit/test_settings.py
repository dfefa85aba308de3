import re
import tempfile
from pathlib import Path

import pytest

from common.errors import SettingsError
from common.images.formats import MODERN_FORMATS
from common.settings.accounts import AccountSettings
from common.settings.base import Settings, read_settings
from common.settings.values import broker_addresses
from ingest.settings import IngestServiceSettings
from migrator.settings import MigratorServiceSettings
from publisher.settings import PublisherServiceSettings
from resizer.settings import ResizerServiceSettings, default_workers
from standalone.settings import DEFAULTS, StandaloneSettings

SERVICES = (
    IngestServiceSettings,
    ResizerServiceSettings,
    PublisherServiceSettings,
    MigratorServiceSettings,
    StandaloneSettings,
)
GIVEN = DEFAULTS | {"RABBITMQ_URL": "amqp://guest:guest@localhost/"}


def refused(without: str = "", **changes: str) -> list[str]:
    given = {name: value for name, value in GIVEN.items() if name != without}
    with pytest.raises(SettingsError) as error:
        read_settings(PublisherServiceSettings, given | changes)
    return error.value.lines


def test_an_empty_value_is_unset() -> None:
    empty = dict.fromkeys(("METRICS_PORT", "ALLOWED_ORIGINS", "RESIZING_CONFIG", "ROUTE_PREFIX", "CACHE_CONTROL"), "")
    settings = read_settings(PublisherServiceSettings, GIVEN | empty)
    assert (settings.metrics_port, settings.allowed_origins, settings.route_prefix) == (8081, ("*",), "")
    assert settings.cache_control == "public, max-age=3600"
    assert "API_SECRET_KEY is not set" in refused(API_SECRET_KEY=" ")[0]


@pytest.mark.parametrize("kind", [IngestServiceSettings, ResizerServiceSettings, PublisherServiceSettings])
def test_the_temporary_folder_needs_no_setting(kind: type[Settings]) -> None:
    system = Path(tempfile.gettempdir())
    for unset in ({}, {"TEMP_FOLDER": ""}, {"TEMP_FOLDER": " "}):
        given = {name: value for name, value in GIVEN.items() if name != "TEMP_FOLDER"} | unset
        folders = {"INCOMING_FOLDER": str(system / "incoming"), "ACTIVE_FOLDER": str(system / "active")}
        settings = read_settings(kind, given | folders)
        assert settings.temp_folder == system / "image-backend"
        (line,) = refused(**unset, INCOMING_FOLDER=str(system / "image-backend"), without="TEMP_FOLDER")
        assert "TEMP_FOLDER" in line


def test_the_embedded_default_keeps_its_own() -> None:
    assert read_settings(StandaloneSettings, DEFAULTS).temp_folder == Path("data/temp")


@pytest.mark.parametrize("text", ["1", "true", "YES", "on"])
def test_booleans(text: str) -> None:
    name = "DISABLE_PROMETHEUS_METRICS"
    assert read_settings(PublisherServiceSettings, GIVEN | {name: text}).disable_prometheus_metrics
    assert not read_settings(PublisherServiceSettings, GIVEN | {name: "off"}).disable_prometheus_metrics
    (line,) = refused(DISABLE_PROMETHEUS_METRICS="maybe")
    assert line.startswith("DISABLE_PROMETHEUS_METRICS 'maybe'")
    assert "expected 1, true, yes or on" in line


def test_everything_that_is_wrong_is_said_at_once_a_line_each() -> None:
    lines = refused(SERVICE_PORT="http", INCOMING_TTL="-1", RESIZING_CONFIG="[]", INCOMING_FOLDER="", API_SECRET_KEY="")
    named = [re.split(r"\W", line)[0] for line in lines]
    assert sorted(named) == ["API_SECRET_KEY", "INCOMING_FOLDER", "INCOMING_TTL", "RESIZING_CONFIG", "SERVICE_PORT"]
    assert not any("\n" in line for line in lines)


def test_the_metrics_have_a_port_of_their_own() -> None:
    (line,) = refused(SERVICE_PORT="9100", METRICS_PORT="9100")
    assert "METRICS_PORT 9100" in line


def test_secrets_are_not_repeated() -> None:
    (line,) = refused(RABBITMQ_URL="http://user:password@host")
    assert "password" not in line
    assert "expected amqp://" in line


def test_nodes_of_the_broker_are_separated_by_commas_and_a_password_may_have_some() -> None:
    urls = ("amqp://user:pass,word@one:5672/site", "amqps://user:pass,amqp@two/site", "amqp://[::1]:5673/")
    given = read_settings(PublisherServiceSettings, GIVEN | {"RABBITMQ_URL": f"{urls[0]},{urls[1]} , {urls[2]}"})
    assert broker_addresses(given.rabbitmq_url) == urls
    assert broker_addresses(urls[1]) == (urls[1],)


def test_each_backend_names_what_it_needs() -> None:
    assert [line.split()[0] for line in refused(STORAGE_BACKEND="s3")] == ["INCOMING_BUCKET", "ACTIVE_BUCKET"]
    assert "STORAGE_BACKEND 'ftp'" in refused(STORAGE_BACKEND="ftp")[0]


def test_a_prefix_without_its_account_is_no_account_of_aws() -> None:
    buckets = {"STORAGE_BACKEND": "s3", "INCOMING_BUCKET": "a", "ACTIVE_BUCKET": "b", "INCOMING_PREFIX": "EXO"}
    (line,) = refused(**buckets)
    assert line.startswith("INCOMING_PREFIX 'EXO' names no account: expected at least one of EXO_ENDPOINT, EXO_")
    (line,) = refused(**buckets, EXO_ENDPOINT="https://store.example", EXO_SECRET_KEY="do not tell")
    assert "expected both EXO_ACCESS_KEY_ID and EXO_SECRET_KEY" in line
    assert "do not tell" not in line
    read_settings(PublisherServiceSettings, GIVEN | buckets | {"EXO_ENDPOINT": "https://store.example"})


@pytest.mark.parametrize(("limit", "workers"), [("max", 33), ("4294967296", 8), ("1000", 1), (None, 33)])
def test_no_more_decoders_than_the_memory_of_the_container_allows(
    tmp_path: Path, limit: str | None, workers: int
) -> None:
    if limit:
        (tmp_path / "memory.max").write_text(f"{limit}\n")
    assert default_workers(32, (tmp_path / "memory.max", tmp_path / "none")) == workers


def test_an_account_is_read_by_its_prefix() -> None:
    variables = {"EXO_ENDPOINT": "https://store.example", "EXO_ACCESS_KEY_ID": "id", "EXO_SECRET_KEY": ""}
    account = AccountSettings.read("EXO", variables)
    assert (account.endpoint, account.access_key_id, account.secret_key) == ("https://store.example", "id", None)
    assert AccountSettings.read(None, variables) == AccountSettings()


def documented() -> dict[str, list[str]]:
    """By variable, the cells of its row: who reads it, its default, its meaning."""
    rows = re.findall(r"^\| `([A-Z0-9_]+)` \|(.*)\|$", Path("docs/settings.md").read_text(), re.MULTILINE)
    return {name: [cell.strip() for cell in cells.split("|")] for name, cells in rows}


def test_the_documents_tell_every_setting_and_no_other() -> None:
    known = {name.upper() for service in SERVICES for name in service.model_fields}
    assert set(documented()) == known


def test_the_documents_tell_who_reads_a_setting_and_its_default() -> None:
    own: dict[str, type[Settings]] = {
        "ingest": IngestServiceSettings,
        "resizer": ResizerServiceSettings,
        "publisher": PublisherServiceSettings,
        "migrator": MigratorServiceSettings,
    }
    for name, (readers, default, _) in documented().items():
        for service, kind in own.items():
            if service in readers.split(", "):
                assert name.lower() in kind.model_fields
        (field, *_) = [kind.model_fields[name.lower()] for kind in SERVICES if name.lower() in kind.model_fields]
        if field.is_required():
            assert default == "required", name
        elif isinstance(field.default, bool | int | float):
            assert default == str(+field.default).removesuffix(".0"), name
        elif isinstance(field.default, str) and field.default:
            assert default == f"`{field.default}`", name


def test_every_modern_format_can_be_switched_on_by_a_setting_of_its_own() -> None:
    for kind in MODERN_FORMATS:
        given = GIVEN | {f"GENERATE_{kind.upper()}": "yes"}
        assert [output.format for output in read_settings(StandaloneSettings, given).plan.modern] == [kind]
