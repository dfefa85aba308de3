"""A move that cannot begin, or cannot go on, says why in one line, exits with 2 and leaves nothing half-written."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from tests.support.deployment import keys
from tests.support.migration import Moving, Run, moving
from tests.support.originals import Originals
from tests.support.pictures import photo
from tests.support.small_disk import small_disk

from common.images.names import ImageKey

NAME = "1000000001_1.jpg"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Moving]:
    async with moving("rabbit-local", tmp_path) as site:
        await site.database.add([(1, NAME, False)])
        (tmp_path / "v5").mkdir()
        (tmp_path / "v5" / NAME).write_bytes(photo(320, 240))
        site.deployment.environment["V5_IMAGES"] = str(tmp_path / "v5")
        yield site


def refusal(run: Run) -> str:
    """The one line that says why."""
    lines = [line for line in run.errors.splitlines() if not line.startswith("{")]
    assert run.status == 2, run
    assert len(lines) == 1, lines
    assert "Traceback" not in run.errors
    return lines[0]


def elsewhere(url: str, **parts: str) -> str:
    """The address with another user, host, port or database."""
    where = urlsplit(url)
    user, password = parts.get("user", where.username), parts.get("password", where.password)
    place = f"{parts.get('host', where.hostname)}:{parts.get('port', where.port)}"
    return urlunsplit((where.scheme, f"{user}:{password}@{place}", parts.get("path", where.path), "", ""))


async def test_a_wrong_database(site: Moving) -> None:
    for parts, expected in (
        ({"port": "1"}, "cannot be used"),
        ({"host": "no-such-host.invalid"}, "cannot be used"),
        ({"path": "/nothing"}, 'database "nothing" does not exist'),
        ({"password": "very-wrong"}, "password authentication failed"),
    ):
        line = refusal(await site.migrate(V5_DATABASE_URL=elsewhere(site.database.url, **parts)))
        assert line.startswith("migrator migrate: V5_DATABASE_URL: the database")
        assert expected in line
        assert "very-wrong" not in line
    for wrong in ("mysql://host/v5", "postgresql://v5:very/wrong@host/v5", "postgresql://v5:very-wrong@host:port/v5"):
        line = refusal(await site.migrate(V5_DATABASE_URL=wrong))
        assert line.startswith("migrator: V5_DATABASE_URL cannot be used: expected postgresql://")
        assert "wrong" not in line
    assert await keys(site.deployment.buckets.active) == set()


async def test_a_wrong_table(site: Moving) -> None:
    reader = f"reader_{urlsplit(site.database.url).path.lstrip('/')}"
    await site.database.execute(f"CREATE ROLE {reader} LOGIN PASSWORD 'reading'")
    try:
        line = refusal(
            await site.migrate(V5_DATABASE_URL=elsewhere(site.database.url, user=reader, password="reading"))
        )
        assert "permission denied for table app_images_archives" in line
    finally:
        await site.database.execute(f"DROP ROLE {reader}")
    await site.database.execute("ALTER TABLE app_images_archives RENAME COLUMN has_svg TO svg")
    assert 'column "has_svg" does not exist' in refusal(await site.migrate())
    await site.database.execute("DROP TABLE app_images_archives")
    assert 'relation "app_images_archives" does not exist' in refusal(await site.migrate())


async def test_wrong_settings_and_options(site: Moving) -> None:
    for source, expected in (
        ("http://127.0.0.1:1/images", "cannot be reached"),
        ("ftp://host/images", "expected http://HOST/PATH"),
        ("http://host:port/images", "V5_IMAGES"),
        ("/no/such/folder", "is not there"),
    ):
        line = refusal(await site.migrate(V5_IMAGES=source))
        assert "V5_IMAGES" in line
        assert expected in line
    assert "V5_ORDER 'RANDOM'" in refusal(await site.migrate(V5_ORDER="random"))
    assert "V5_IMAGES is not set" in refusal(await site.migrate(V5_IMAGES=""))
    assert "is not in app_images_archives" in refusal(await site.migrate("--key", "1000000002_1.jpg"))
    assert "cannot use the broker" in refusal(await site.migrate(RABBITMQ_URL="amqp://guest:guest@127.0.0.1:1/"))
    assert "report" in refusal(await site.migrate("--report", "/no/such/folder/report"))
    run = await site.migrate("--rate", "-1")
    assert run.status == 2
    assert "expected a number above 0" in run.errors


async def test_what_was_begun_is_ended_later(site: Moving) -> None:
    process = await site.begin("migrator", "migrate")
    await site.deployment.wait_for(site.deployment.buckets.active, NAME)
    process.terminate()
    output, errors = await process.communicate()
    assert process.returncode == 2
    assert b"Images: 0, skipped: 0, processed: 0, errors: 0" in output
    assert b"stopped before the end; this goes on: python -m migrator migrate --report " in errors
    await site.deployment.start("resizer")
    assert (await site.migrate()).status == 0
    assert await site.deployment.buckets.active.stat(f"{NAME[:-4]}MI.jpg")


@pytest.mark.parametrize("full", ["active", "temp"])
async def test_a_full_disk(full: str, tmp_path: Path) -> None:
    names = [f"{1000000001 + number}_1.jpg" for number in range(40)]
    data = photo(1600, 1200)
    async with Originals.served(dict.fromkeys(names, data)) as originals:
        (tmp_path / full).mkdir()
        with small_disk(tmp_path / full, 1500):
            async with moving("rabbit-local", tmp_path) as site:
                await site.database.add([(number, name, False) for number, name in enumerate(names)])
                if full == "temp":
                    (tmp_path / "temp" / "other").write_bytes(b"x" * 1_400_000)
                run = await site.migrate(V5_IMAGES=originals.url)
                line = refusal(run)
                assert re.search(r"no room left|cannot hold the list", line)
                assert "No space left" in line or "disk is full" in line
                public = await keys(site.deployment.buckets.active)
                assert public < {str(ImageKey.parse(name)) for name in names}
                for name in public:
                    assert await site.deployment.buckets.active.get(name) == data
                assert [path.name for path in (tmp_path / "temp").iterdir() if path.name != "other"] == []
                assert list((tmp_path / "active" / ".tmp").iterdir()) == []
