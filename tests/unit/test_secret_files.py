"""A secret may be given as a file. One that cannot be used stops the start with a line that does not tell it."""

from pathlib import Path

import pytest

from common.errors import SettingsError
from common.settings.base import Settings, read_settings
from common.settings.storage import S3StorageSettings
from ingest.settings import IngestServiceSettings
from migrator.settings import BucketSourceSettings, MigratorServiceSettings
from publisher.settings import PublisherServiceSettings
from standalone.settings import DEFAULTS, StandaloneSettings
from standalone.settings import read as read_standalone

GIVEN = {
    "STORAGE_BACKEND": "s3",
    "INCOMING_BUCKET": "in",
    "ACTIVE_BUCKET": "out",
    "INCOMING_PREFIX": "ONE",
    "ACTIVE_PREFIX": "TWO",
    "V5_IMAGES": "s3://old/images",
    "V5_PREFIX": "THREE",
    **{f"{prefix}_{name}": "made-up" for prefix in ("ONE", "TWO", "THREE") for name in ("ACCESS_KEY_ID", "SECRET_KEY")},
    "API_SECRET_KEY": "hidden-key",
    "RABBITMQ_URL": "amqp://guest:hidden@localhost/",
    "V5_DATABASE_URL": "postgresql://reader:hidden@localhost/v5",
}
SECRETS = [
    (PublisherServiceSettings, "API_SECRET_KEY"),
    (PublisherServiceSettings, "RABBITMQ_URL"),
    (IngestServiceSettings, "RABBITMQ_URL"),
    (MigratorServiceSettings, "V5_DATABASE_URL"),
    (IngestServiceSettings, "ONE_SECRET_KEY"),
    (MigratorServiceSettings, "TWO_SECRET_KEY"),
    (MigratorServiceSettings, "THREE_SECRET_KEY"),
]
every_secret = pytest.mark.parametrize(("kind", "name"), SECRETS)


def value_of(settings: Settings, name: str) -> object:
    assert isinstance(settings.storage, S3StorageSettings)
    buckets = {"ONE": settings.storage.incoming, "TWO": settings.storage.active}
    if isinstance(settings, MigratorServiceSettings):
        assert isinstance(settings.source, BucketSourceSettings)
        buckets["THREE"] = settings.source.bucket
    bucket = buckets.get(name.removesuffix("_SECRET_KEY"))
    if bucket is None:
        return getattr(settings, name.lower())
    assert bucket.account.secret_key is not None
    return bucket.account.secret_key.get_secret_value()


def lines(kind: type[Settings], name: str, path: Path, **changes: str) -> list[str]:
    given = {key: value for key, value in GIVEN.items() if key != name}
    with pytest.raises(SettingsError) as error:
        read_settings(kind, given | {f"{name}_FILE": str(path)} | changes)
    return error.value.lines


ENDS = [("", ""), ("\n", ""), ("\n\n", "\n"), (" ", " ")]  # of the file, and of the secret


@pytest.mark.parametrize(
    ("kind", "name", "written", "read"),
    # An address ends with no space.
    [(*secret, *end) for secret in SECRETS for end in ENDS if not (end[1] and secret[1].endswith("_URL"))],
)
def test_the_content_without_its_last_newline(
    tmp_path: Path, kind: type[Settings], name: str, written: str, read: str
) -> None:
    (tmp_path / "secret").write_text(GIVEN[name] + written)
    given = {key: value for key, value in GIVEN.items() if key != name}
    settings = read_settings(kind, given | {f"{name}_FILE": str(tmp_path / "secret"), name: ""})
    assert value_of(settings, name) == GIVEN[name] + read


@every_secret
def test_both_given(tmp_path: Path, kind: type[Settings], name: str) -> None:
    (tmp_path / "secret").write_text("do not tell")
    assert lines(kind, name, tmp_path / "secret", **{name: GIVEN[name]}) == [
        f"{name} and {name}_FILE are both set: expected one of them"
    ]


@every_secret
@pytest.mark.parametrize("content", [b"", b"\n", b" \n\n", b"\xffdo not tell", None])
def test_a_file_that_cannot_be_used(tmp_path: Path, kind: type[Settings], name: str, content: bytes | None) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    (line,) = lines(kind, name, path)
    assert line.startswith(f"{name}_FILE {path} ")
    assert f"expected a file with {name}" in line
    assert "do not tell" not in line


def test_a_folder_in_place_of_the_file(tmp_path: Path) -> None:
    (line,) = lines(PublisherServiceSettings, "API_SECRET_KEY", tmp_path)
    assert line.startswith(f"API_SECRET_KEY_FILE {tmp_path} cannot be read: Is a directory")


def test_what_is_wrong_with_the_content_is_said_without_it(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("http://user:password@host")
    (line,) = lines(PublisherServiceSettings, "RABBITMQ_URL", tmp_path / "secret")
    assert line.startswith("RABBITMQ_URL cannot be used: expected amqp://")
    assert "password" not in line


def test_a_service_reads_no_file_of_another_services_secret(tmp_path: Path) -> None:
    read_settings(IngestServiceSettings, GIVEN | {"API_SECRET_KEY_FILE": str(tmp_path / "none")})


def test_the_file_replaces_the_secret_of_the_embedded_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text("from a file\n")
    for name in (*DEFAULTS, "API_SECRET_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    assert read_standalone(StandaloneSettings).api_secret_key == DEFAULTS["API_SECRET_KEY"]
    monkeypatch.setenv("API_SECRET_KEY_FILE", str(tmp_path / "secret"))
    assert read_standalone(StandaloneSettings).api_secret_key == "from a file"


@pytest.mark.parametrize("kind", [PublisherServiceSettings, MigratorServiceSettings])
def test_printed_settings_tell_no_secret(kind: type[Settings]) -> None:
    given = GIVEN | {"ONE_SECRET_KEY": "hidden-one", "V5_IMAGES": "https://reader:hidden@v5.example/images"}
    settings = read_settings(kind, {key: value for key, value in given.items() if key != "V5_PREFIX"})
    assert "hidden" not in repr(settings) + str(settings) + repr(settings.storage)
