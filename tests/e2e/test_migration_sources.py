"""Where a migration takes the originals from: a web server, a folder or a bucket, with their faults."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.deployment import keys
from tests.support.migration import PHOTO, Moving, complete, moving
from tests.support.originals import Originals
from tests.support.pictures import photo


@pytest.fixture(params=["rabbit-local", "rabbit-s3"])
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Moving]:
    async with moving(request.param, tmp_path) as site:
        await site.deployment.start("resizer")
        yield site


async def test_a_source_with_faults_is_asked_again(site: Moving) -> None:
    names = [f"10000000{number:02}_{number}.jpg" for number in range(12)]
    await site.database.add([(number, name, False) for number, name in enumerate(names)])
    faults = dict(zip(names, ["500", "cut", "slow", "chunked-cut", "unmeasured", "unmeasured-cut"], strict=False))
    async with Originals.served(dict.fromkeys(names, PHOTO), faults) as originals:
        run = await site.migrate(V5_IMAGES=originals.url)
    assert run.status == 0, run.errors
    assert run.totals == "Images: 12, skipped: 0, processed: 12, errors: 0"
    assert await keys(site.deployment.buckets.active) == complete(*names)


async def test_an_original_that_may_be_cut_off_is_not_taken_over(tmp_path: Path) -> None:
    names = [f"10000000{number:02}_{number}.jpg" for number in range(4)]
    faults = dict(zip(names, ["unmeasured always", "unmeasured-cut always", "chunked-cut always"], strict=False))
    async with moving("rabbit-local", tmp_path) as site:
        await site.deployment.start("resizer")
        await site.database.add([(number, name, False) for number, name in enumerate(names)])
        async with Originals.served(dict.fromkeys(names, PHOTO), faults) as originals:
            run = await site.migrate(V5_IMAGES=originals.url)
            assert run.status == 1
            assert {name: run.line(name).get("error") for name in names} == {
                **dict.fromkeys(names[:3], "source"),
                names[3]: None,
            }
            assert "does not say how long" in run.line(names[1])["reason"]
            assert await keys(site.deployment.buckets.active) == complete(names[3])
            originals.faults.clear()
            assert (await site.migrate(V5_IMAGES=originals.url)).status == 0
        for name in names:
            assert await site.deployment.buckets.active.get(name) == PHOTO


async def test_a_damaged_original_is_taken_over_and_reported_with_its_row(tmp_path: Path) -> None:
    large = photo(1600, 1200)
    files = {
        "1000000001_1.jpg": large[: len(large) // 2],
        "1000000002_2.png": large[: len(large) // 2],
        "1000000003_3.jpg": large,
    }
    (tmp_path / "v5").mkdir()
    for name, data in files.items():
        (tmp_path / "v5" / name).write_bytes(data)
    async with moving("rabbit-local", tmp_path) as site:
        await site.deployment.start("resizer")
        await site.database.add([(70 + number, name, False) for number, name in enumerate(files)])
        run = await site.migrate(V5_IMAGES=str(tmp_path / "v5"))
        damaged, both, good = (run.line(name) for name in files)
        assert (damaged["result"], damaged["error"]) == ("processed", "damaged")
        assert damaged["reason"] == "row 70: the original is cut off, or has errors"
        assert both["error"] == "damaged"
        assert both["reason"].startswith("row 71: ")
        assert "its bytes are JPG" in both["reason"]
        assert "error" not in good
        assert "  damaged, and no error: 2" in run.output
        (site.deployment.folder / "incoming" / "checkpoints").rename(tmp_path / "lost")
        again = await site.migrate(V5_IMAGES=str(tmp_path / "v5"))
        assert [again.line(name).get("error") for name in files] == ["damaged", "damaged", None]
        assert again.totals == "Images: 3, skipped: 3, processed: 0, errors: 0"


async def test_originals_from_a_folder_and_newest_first(site: Moving, tmp_path: Path) -> None:
    folder = tmp_path / "v5"
    folder.mkdir()
    names = [f"10000000{number:02}_{number}.jpg" for number in range(8)]
    for name in names:
        (folder / name).write_bytes(PHOTO)
    await site.database.add([(number, name, False) for number, name in enumerate(names)])
    await site.database.add([(99, "1000000099_1.jpg", False)])
    (folder / "1000000099_1.jpg").symlink_to("1000000099_1.jpg")
    odd = await site.migrate("--key", "1000000099_1.jpg", V5_IMAGES=str(folder))
    assert (odd.status, odd.report[0]["error"]) == (1, "refused")
    await site.database.execute("DELETE FROM app_images_archives WHERE image_archive_id = 99")
    run = await site.migrate("--limit", "3", "--jobs", "1", V5_IMAGES=str(folder), V5_ORDER="desc")
    assert (run.status, run.totals) == (0, "Images: 3, skipped: 0, processed: 3, errors: 0")
    assert await keys(site.deployment.buckets.active) == complete(*names[-3:])
    dry = await site.migrate("--dry-run", V5_IMAGES=str(folder))
    assert (dry.status, dry.totals) == (0, "Images: 8, skipped: 3, to process: 5, errors: 0")
    assert f"To fetch: {5 * len(PHOTO) / 1e6:,.1f} MB" in dry.output
    assert "CPU hours" in dry.output
    assert await keys(site.deployment.buckets.active) == complete(*names[-3:])


async def test_originals_from_a_bucket(tmp_path: Path) -> None:
    async with moving("rabbit-s3", tmp_path) as site:
        await site.deployment.start("resizer")
        s3 = site.deployment.s3
        assert s3 is not None
        name = "1000000001_1.jpg"
        await site.deployment.buckets.incoming.put(f"old/{name}", PHOTO)
        await site.database.add([(1, name, False), (2, "1000000002_2.jpg", False)])
        run = await site.migrate(V5_IMAGES=f"s3://{s3.incoming}/old/", V5_PREFIX="STORE")
        assert run.totals == "Images: 2, skipped: 0, processed: 1, errors: 1"
        assert run.line("1000000002_2.jpg")["error"] == "missing"
        assert await keys(site.deployment.buckets.active) == complete(name)
