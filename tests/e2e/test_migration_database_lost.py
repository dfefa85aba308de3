"""A v5 database that goes away while a site moves: the command says so, and the next run brings what is missing."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.support.deployment import keys
from tests.support.eventually import eventually
from tests.support.migration import PHOTO, Moving, complete, moving
from tests.support.proxy import Proxy

NAMES = [f"{1000000000 + number}_{number}.jpg" for number in range(1, 301)]


@pytest.fixture
def v5(tmp_path: Path) -> Path:
    folder = tmp_path / "v5"
    folder.mkdir()
    for name in NAMES[:8]:
        (folder / name).write_bytes(PHOTO)
    return folder


def proxy_to(site: Moving) -> Proxy:
    place = urlsplit(site.database.url)
    assert place.hostname
    assert place.port
    return Proxy(place.hostname, place.port)


def url_through(site: Moving, proxy: Proxy) -> str:
    return site.database.url.replace(f":{urlsplit(site.database.url).port}/", f":{proxy.port}/")


async def test_while_its_rows_are_read(tmp_path: Path, v5: Path) -> None:
    async with moving("rabbit-local", tmp_path, V5_IMAGES=str(v5)) as site:
        await site.database.add([(number, NAMES[number % 8], False) for number in range(3000)])
        proxy = proxy_to(site)
        await proxy.restore()
        proxy.break_after(30_000, 1, answers=True)
        run = await site.migrate(V5_DATABASE_URL=url_through(site, proxy))
        assert run.status == 2
        assert "cannot be read" in run.errors
        assert await keys(site.deployment.buckets.active) == set()
        await site.deployment.start("resizer")
        run = await site.migrate(V5_DATABASE_URL=url_through(site, proxy))
        assert (run.status, run.totals) == (0, "Images: 8, skipped: 0, processed: 8, errors: 0"), run.errors
        assert await keys(site.deployment.buckets.active) == complete(*NAMES[:8])
        await proxy.cut()


async def test_while_its_images_are_moved(tmp_path: Path, v5: Path) -> None:
    async with moving("rabbit-local", tmp_path, V5_IMAGES=str(v5)) as site:
        await site.database.add([(number, name, False) for number, name in enumerate(NAMES[:8])])
        await site.deployment.start("resizer")
        proxy = proxy_to(site)
        await proxy.restore()
        process = await site.begin("migrator", "migrate", "--rate", "4", V5_DATABASE_URL=url_through(site, proxy))
        await eventually(lambda: keys(site.deployment.buckets.active), "the first image")
        await proxy.cut()
        await process.communicate()
        assert process.returncode in (0, 2)
        run = await site.migrate()
        assert (run.status, run.totals.partition(",")[0]) == (0, "Images: 8"), run.errors
        assert await keys(site.deployment.buckets.active) == complete(*NAMES[:8])
        for name in NAMES[:8]:
            assert await site.deployment.buckets.active.get(name) == PHOTO
