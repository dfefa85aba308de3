"""Two settings that cannot both be followed stop the start, with a line that names both; their neighbours do not."""

from itertools import permutations
from pathlib import Path

import pytest

from common.errors import SettingsError
from common.images.formats import Format, Output
from common.images.names import ImageKey, image_name_of
from common.images.plan import Plan
from common.images.records import Stage, record_key
from common.images.sizes import parse_sizes
from common.settings.base import Settings, read_settings
from migrator.settings import MigratorServiceSettings
from publisher.maintenance.sweep import GRACE
from publisher.settings import PublisherServiceSettings
from resizer.deadlines import background_deadline
from resizer.settings import ResizerServiceSettings, ResizerSettings
from standalone.settings import DEFAULTS, StandaloneSettings

GIVEN = DEFAULTS | {
    "RABBITMQ_URL": "amqp://guest:guest@localhost/",
    "V5_DATABASE_URL": "postgresql://reader:secret@localhost/v5",
    "V5_IMAGES": "https://v5.example/images",
}
S3 = {
    "STORAGE_BACKEND": "s3",
    "INCOMING_BUCKET": "photos",
    "ACTIVE_BUCKET": "photos",
    "INCOMING_PREFIX": "ONE",
    "ACTIVE_PREFIX": "TWO",
    "ONE_ENDPOINT": "https://store.example",
    "TWO_ENDPOINT": "https://store.example",
}
FOLDERS = ("INCOMING_FOLDER", "ACTIVE_FOLDER", "TEMP_FOLDER")


def lines(changes: dict[str, str], kind: type[Settings] = PublisherServiceSettings) -> list[str]:
    try:
        read_settings(kind, GIVEN | changes)
    except SettingsError as error:
        return error.lines
    return []


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to be in, with links in it: `link` to `real`, and `up` to the folder itself."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "up").symlink_to(".")
    return tmp_path


# Two spellings, of which the first is the second folder, or lies within it.
OVERLAPPING = [
    ("real", "real"),
    ("new", "new"),
    ("real/", "./real"),
    ("other/../real", "real"),
    ("link", "real"),
    ("up/new", "new"),
    ("up/up/link", "real"),
    ("real/deep", "real"),
    ("new/deep/deeper", "new"),
    ("link/deep", "real"),
    ("real/deep", "link"),
    ("new", "."),
    ("ABSOLUTE/real", "real"),
]


@pytest.mark.parametrize(("inner", "outer"), OVERLAPPING)
def test_folders_that_are_not_apart(folder: Path, inner: str, outer: str) -> None:
    elsewhere = {name: str(folder.parent / f"{folder.name}-{name}") for name in FOLDERS}
    for first, second in permutations(FOLDERS, 2):
        given = elsewhere | {first: inner.replace("ABSOLUTE", str(folder)), second: outer}
        (line,) = lines(given)
        assert first in line
        assert second in line
        assert line.endswith("expected folders that are apart")


@pytest.mark.parametrize(
    ("one", "other"), [("real", "real2"), ("a/in", "b/in"), ("real/a", "real/b"), ("link/a", "new")]
)
def test_folders_that_are_apart(folder: Path, one: str, other: str) -> None:
    assert folder.is_dir()
    for first, second in permutations(FOLDERS, 2):
        assert lines({first: one, second: other}) == []


@pytest.mark.parametrize("name", FOLDERS)
def test_a_migration_from_a_folder_into_itself(folder: Path, name: str) -> None:
    assert folder.is_dir()
    (line,) = lines({name: "link", "V5_IMAGES": "real"}, MigratorServiceSettings)
    assert line == f"V5_IMAGES real is the same folder as {name} link: expected another one"
    assert lines({name: "real/new", "V5_IMAGES": "real"}, MigratorServiceSettings) == []


def test_folders_count_only_where_they_are_used() -> None:
    assert lines(S3 | {"ACTIVE_BUCKET": "public", "INCOMING_FOLDER": "same", "ACTIVE_FOLDER": "same"}) == []


ONE_SERVER = [
    {},
    {"TWO_ENDPOINT": "https://STORE.example/"},
    {"TWO_ENDPOINT": "https://store.example.:443"},
    {"ACTIVE_PREFIX": "ONE"},
    {"INCOMING_PREFIX": "", "ACTIVE_PREFIX": ""},
    {"INCOMING_PREFIX": "", "TWO_ENDPOINT": "https://s3.eu-west-3.amazonaws.com"},
    {"TWO_ACCESS_KEY_ID": "another", "TWO_SECRET_KEY": "secret"},
    {"TWO_DEFAULT_REGION": "elsewhere"},
]


@pytest.mark.parametrize("changes", ONE_SERVER)
def test_one_bucket_for_both(changes: dict[str, str]) -> None:
    (line,) = lines(S3 | changes)
    assert line.startswith("INCOMING_BUCKET photos and ACTIVE_BUCKET name one bucket: expected two")


@pytest.mark.parametrize(
    "changes",
    [
        {"ACTIVE_BUCKET": "public"},
        {"TWO_ENDPOINT": "https://other.example"},
        {"TWO_ENDPOINT": "https://store.example:9000"},
        {"ACTIVE_PREFIX": "", "ONE_ENDPOINT": "https://amazonaws.com.example"},
    ],
)
def test_two_buckets(changes: dict[str, str]) -> None:
    assert lines(S3 | changes) == []


@pytest.mark.parametrize("which", ["INCOMING", "ACTIVE"])
def test_a_migration_from_a_bucket_into_itself(which: str) -> None:
    given = S3 | {"INCOMING_BUCKET": "in", "ACTIVE_BUCKET": "out", f"{which}_BUCKET": "old", "V5_PREFIX": "ONE"}
    for address in ("s3://old", "s3://old/"):
        (line,) = lines(given | {"V5_IMAGES": address}, MigratorServiceSettings)
        assert line.startswith(f"V5_IMAGES names the bucket that {which}_BUCKET names: expected")
    for address in ("s3://older", "s3://old/images"):
        assert lines(given | {"V5_IMAGES": address}, MigratorServiceSettings) == []
    local = {"V5_IMAGES": "s3://old", "V5_PREFIX": "ONE", "ONE_ENDPOINT": "https://store.example"}
    assert lines(local, MigratorServiceSettings) == []


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"SERVICE_PORT": "9100", "METRICS_PORT": "9100"}, ("METRICS_PORT 9100", "SERVICE_PORT")),
        ({"METRICS_PORT": "8080"}, ("METRICS_PORT 8080", "SERVICE_PORT")),
        ({"SERVICE_PORT": "8081"}, ("METRICS_PORT 8081", "SERVICE_PORT")),
        ({"INCOMING_TTL": "599"}, ("RECONCILE_AFTER 600", "INCOMING_TTL 599")),
        ({"RECONCILE_AFTER": "86401"}, ("RECONCILE_AFTER 86401", "INCOMING_TTL 86400")),
        ({"INCOMING_TTL": "2", "RECONCILE_AFTER": "1"}, ("ACTIVATION_WAIT 2", "INCOMING_TTL 2")),
        ({"S3": "yes", "ONE_ACCESS_KEY_ID": "half"}, ("ONE_ACCESS_KEY_ID", "ONE_SECRET_KEY")),
        ({"S3": "yes", "TWO_SECRET_KEY": "half"}, ("TWO_ACCESS_KEY_ID", "TWO_SECRET_KEY")),
        ({"S3": "yes", "TWO_ENDPOINT": "", "TWO_DEFAULT_REGION": ""}, ("ACTIVE_PREFIX 'TWO'", "TWO_ENDPOINT")),
        ({"S3": "yes", "TWO_ENDPOINT": "store.example:9000"}, ("TWO_ENDPOINT", "http://HOST:PORT")),
    ],
)
def test_two_settings_that_contradict_each_other(changes: dict[str, str], named: tuple[str, str]) -> None:
    given = S3 | {"ACTIVE_BUCKET": "public"} if "S3" in changes else {}
    (line,) = lines(given | changes)
    for name in named:
        assert name in line
    assert "half" not in line


@pytest.mark.parametrize("kind", [ResizerServiceSettings, StandaloneSettings])
def test_a_rendering_that_would_outlast_the_hour_before_removal(kind: type[ResizerSettings]) -> None:
    (line,) = lines({"IMAGE_WALL_SECONDS": "225.5"}, kind)
    assert line == (
        "IMAGE_WALL_SECONDS 225.5 lets a rendering on the bulk lane take 3006 s: expected 225 at most, "
        "or it could still write while its image is removed, one hour after INCOMING_TTL"
    )
    given = GIVEN | {"IMAGE_WALL_SECONDS": "225"}
    assert background_deadline(read_settings(kind, given).limits) <= GRACE - 600


@pytest.mark.parametrize(
    "changes",
    [
        {"SERVICE_PORT": "9100", "METRICS_PORT": "9100", "DISABLE_PROMETHEUS_METRICS": "1"},
        {"SERVICE_PORT": "0", "METRICS_PORT": "0"},  # any that is free, and so two
        {"ROUTE_PREFIX": "/metrics"},  # on another port
        {"INCOMING_TTL": "600"},
        {"INCOMING_TTL": "1", "RECONCILE_AFTER": "1", "ACTIVATION_WAIT": "0"},
        {"UPLOAD_TIMEOUT": "10", "UPLOAD_IDLE_TIMEOUT": "30"},
        {"IMAGE_CPU_SECONDS": "60", "IMAGE_WALL_SECONDS": "10"},
    ],
)
def test_settings_that_only_look_alike(changes: dict[str, str]) -> None:
    assert lines(changes) == []


@pytest.mark.parametrize("suffix", ["BI", "modern", "crop", "json", "-", "_", "_1", "a1_2", "x" * 16])
def test_no_suffix_meets_what_else_an_image_has(suffix: str) -> None:
    sizes = parse_sizes(f'[{{"suffix": "{suffix}", "convert": []}}]')
    plan = Plan(sizes, (Output(Format.WEBP), Output(Format.AVIF)))
    for extension in ("jpg", "PNG", "gif", "svg"):
        image = ImageKey("1475660224_1", extension)
        variants = {key for stage in Stage for key in plan.variant_keys(image, stage)}
        others = {str(image), image.crop_key, *(record_key(image, stage) for stage in Stage)}
        assert not variants & others
        assert {image_name_of(key) for key in variants} == {image.name}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_of_images_lies_nowhere_that_decoders_can_read(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FONTCONFIG_FILE", str(folder / "fonts.conf"))
    monkeypatch.setenv("PYTHONPATH", str(folder / "modules"))
    monkeypatch.syspath_prepend(folder / "modules")
    monkeypatch.syspath_prepend(folder)  # as where a service is run
    (folder / "fonts.conf").write_text(f"<fontconfig><dir>{folder}/real</dir></fontconfig>")
    for where in (folder / "real", folder / "real" / "new", folder / "link", Path(pytest.__file__).parent):
        (line,) = lines({name: str(where)})
        assert line.startswith(f"{name} {where} lies within ")
        assert "decoders may read" in line
    for where in (folder / "new", folder / "modules" / "new"):
        assert not lines({name: str(where)})
