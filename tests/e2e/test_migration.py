"""Moving a site onto this backend: what v5 has becomes public, and the report tells the truth."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.deployment import Deployment, keys
from tests.support.eventually import eventually
from tests.support.migration import Moving, moving
from tests.support.originals import Originals
from tests.support.pictures import SVG, photo, transparent_png
from tests.support.terminal import rows, shown

from common.images.names import ImageKey

PHOTO, PNG = photo(320, 240), transparent_png()


@pytest.fixture(params=["rabbit-local", "rabbit-s3"])
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Moving]:
    async with moving(request.param, tmp_path) as site:
        await site.deployment.start("resizer")
        yield site


def complete(*names: str) -> set[str]:
    """All keys of these images."""
    images = [ImageKey.parse(name) for name in names]
    return {key for image in images for key in (str(image), f"{image.name}.json", *variants(image))}


def variants(image: ImageKey) -> list[str]:
    return [image.variant(suffix) for suffix in ("BI", "MI", "SI")]


async def test_every_row_ends_as_the_report_says(site: Moving) -> None:
    files = {
        "1000000001_1.jpg": PHOTO,
        "1000000002_22.png": PNG,
        "1000000003_333.svg": SVG,
        "1000000004_4444.jpg": b"<html>not found</html>",
        "1000000006_6.jpg": PNG,
        "1000000007_7.jpg": PHOTO,
        "1000000007_7.png": PNG,
        "1000000009_9.JPG": PHOTO,
    }
    rows: list[tuple[int, str | None, bool | None]] = [
        (1, "1000000001_1.jpg", None),
        (2, "1000000001_1.jpg", False),
        (3, "1000000002_22.png", False),
        (4, "1000000003_333.jpg", False),
        (5, "1000000003_333.png", True),
        (6, "1000000004_4444.jpg", False),
        (7, "1000000005_5.jpg", False),
        (8, "1000000006_6.jpg", False),
        (9, "1000000007_7.jpg", False),
        (10, "1000000007_7.png", False),
        (11, "../etc/passwd", False),
        (12, None, None),
        (13, "1000000008_8.jpg", False),
        (14, "1000000009_9.JPG", False),
    ]
    await site.database.add(rows)
    active = site.deployment.buckets.active
    await active.put("1000000003_333.png", PNG)  # rasterised long ago
    await site.deployment.buckets.incoming.put("tombstones/1000000008_8", b"")
    async with Originals.served(files) as originals:
        first = await site.migrate(V5_IMAGES=originals.url)
        asked = dict(originals.asked)
        again = await site.migrate(V5_IMAGES=originals.url)
        originals.asked.clear()
        await active.delete("1000000001_1.json")
        await active.delete("1000000002_22SI.png")
        forced = await site.migrate("--force", "--key", "1000000002_22.png", V5_IMAGES=originals.url)
        assert not originals.asked, "what is public is never fetched"

    assert first.status == 1, first.errors
    assert first.totals == "Images: 11, skipped: 1, processed: 5, errors: 5"
    assert len(first.report) == 11
    errors = {line["image"]: line["error"] for line in first.report if line["result"] == "error"}
    assert errors == {
        "1000000004_4444.jpg": "unsupported",
        "1000000005_5.jpg": "missing",
        "1000000007_7.jpg": "two-originals",
        "../etc/passwd": "bad-name",
        "row 12": "bad-name",
    }
    assert first.line("1000000008_8.jpg") == {"image": "1000000008_8.jpg", "result": "skipped", "error": "deleted"}
    assert first.line("1000000006_6.jpg")["error"] == "mismatch"
    assert first.line("1000000001_1.jpg")["bytes"] == len(PHOTO)
    good = ["1000000001_1.jpg", "1000000002_22.png", "1000000003_333.svg", "1000000006_6.jpg", "1000000007_7.jpg"]
    expected = complete(*good, "1000000009_9.JPG")
    assert "1000000003_333.png" not in expected
    assert asked["1000000005_5.jpg"] == 1, "what is missing is not asked for twice"

    assert again.status == 1
    assert again.totals == "Images: 11, skipped: 6, processed: 0, errors: 5"
    assert forced.status == 0, forced.errors
    assert forced.totals == "Images: 1, skipped: 0, processed: 1, errors: 0"
    assert await keys(active) == expected - {"1000000001_1.json"}
    assert await active.get("1000000001_1.jpg") == PHOTO


async def test_a_source_with_faults_is_asked_again(site: Moving) -> None:
    names = [f"10000000{number:02}_{number}.jpg" for number in range(12)]
    await site.database.add([(number, name, False) for number, name in enumerate(names)])
    faults = dict(zip(names, ["500", "cut", "slow", "chunked-cut", "unmeasured", "unmeasured-cut"], strict=False))
    async with Originals.served(dict.fromkeys(names, PHOTO), faults) as originals:
        run = await site.migrate(V5_IMAGES=originals.url)
    assert run.status == 0, run.errors
    assert run.totals == "Images: 12, skipped: 0, processed: 12, errors: 0"
    assert await keys(site.deployment.buckets.active) == complete(*names)


async def test_lines_and_the_bar_of_a_terminal_do_not_mix(tmp_path: Path) -> None:
    names = [f"10000000{number:02}_{number}.jpg" for number in range(6)]
    async with moving("rabbit-local", tmp_path) as site:
        await site.deployment.start("resizer")
        await site.database.add([(number, name, False) for number, name in enumerate([*names, "1000000099_9.jpg"])])
        async with Originals.served(dict.fromkeys(names, PHOTO), dict.fromkeys(names[:3], "500")) as originals:
            settings = {"V5_IMAGES": originals.url, "V5_DATABASE_URL": site.database.url, "TERM": "dumb"}
            environment = site.deployment.environment | settings
            status, text = await shown("migrator", "migrate", environment=environment, folder=tmp_path)
            dry = ["migrator", "migrate", "--dry-run", "--force"]
            _, foreseen = await shown(*dry, environment=environment, folder=tmp_path)
    assert status == 1
    assert " images/s" in text, "there is a bar"
    asked = [row for row in rows(text) if "the source will be asked again" in row]
    assert len(asked) == 3, text
    for row in [
        *asked,
        *(row for row in rows(text) + rows(foreseen) if "1000000099_9.jpg" in row or "To fetch" in row),
    ]:
        assert "images/s" not in row
        assert "%|" not in row


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


async def test_changed_settings_and_deletions_are_noticed(tmp_path: Path) -> None:
    names = [f"10000000{number:02}_{number}.jpg" for number in range(4)]
    async with moving("rabbit-local", tmp_path) as site, Originals.served(dict.fromkeys(names, PHOTO)) as originals:
        await site.deployment.start("resizer")
        await site.database.add([(number, name, False) for number, name in enumerate(names)])
        assert (await site.migrate(V5_IMAGES=originals.url)).status == 0
        incoming, active = site.deployment.buckets.incoming, site.deployment.buckets.active
        await incoming.put("tombstones/1000000000_0", b"")
        for key in complete(names[0]):
            await active.delete(key)
        await site.deployment.processes["resizer"].terminate()
        modern = {"GENERATE_WEBP": "1"}
        await site.deployment.start("resizer", **modern)
        run = await site.migrate(V5_IMAGES=originals.url, **modern)
        assert run.totals == "Images: 4, skipped: 1, processed: 3, errors: 0"
        assert originals.asked.total() == 4
        assert await active.stat(f"{names[1][:-4]}MI.webp")
        # Its tombstone is removed some day, and the checkpoint still knows.
        await incoming.delete("tombstones/1000000000_0")
        run = await site.migrate(V5_IMAGES=originals.url, **modern)
        assert run.totals == "Images: 4, skipped: 4, processed: 0, errors: 0"
        for options in (["--force"], ["--key", names[0]]):
            run = await site.migrate(*options, V5_IMAGES=originals.url, **modern)
            assert run.line(names[0]) == {"image": names[0], "result": "skipped", "error": "deleted"}
        # Nor does one come back of which nobody has noted yet that it was deleted.
        for key in complete(names[3]):
            await active.delete(key)
        run = await site.migrate("--key", names[3], "--force", V5_IMAGES=originals.url, **modern)
        assert run.line(names[3])["error"] == "deleted"
        assert originals.asked.total() == 4
        # What has become an SVG since is another original.
        await site.database.execute("UPDATE app_images_archives SET has_svg = true WHERE image_archive_id = 1")
        (svg,) = (await site.migrate("--key", names[1], V5_IMAGES=originals.url, **modern)).report
        assert (svg["image"], svg["error"]) == (f"{names[1][:-4]}.svg", "missing")
        # Without the checkpoint, each is looked at once.
        async for entry in incoming.entries("checkpoints/"):
            await incoming.delete(entry.key)
        run = await site.migrate("--key", names[2], V5_IMAGES=originals.url, **modern)
        assert run.totals == "Images: 1, skipped: 1, processed: 0, errors: 0"
        assert originals.asked.total() == 5


async def test_what_was_brought_while_it_was_deleted_goes(tmp_path: Path) -> None:
    async with moving("rabbit-local", tmp_path) as site:
        await site.database.add([(1, "1000000001_1.jpg", False)])
        # Somebody deleted it, and whoever had just brought it was killed before the second look.
        await site.deployment.buckets.incoming.put("tombstones/1000000001_1", b"")
        await site.deployment.buckets.active.put("1000000001_1.jpg", PHOTO)
        run = await site.migrate(V5_IMAGES=str(tmp_path))
        assert (run.status, run.report[0]["error"]) == (0, "deleted")
        assert await keys(site.deployment.buckets.active) == set()


async def test_it_waits_for_thumbnails(tmp_path: Path) -> None:
    async with moving("rabbit-local", tmp_path) as site, Originals.served({"1000000001_1.jpg": PHOTO}) as originals:
        await site.database.add([(1, "1000000001_1.jpg", False)])
        process = await site.begin("migrator", "migrate", V5_IMAGES=originals.url)
        await site.deployment.wait_for(site.deployment.buckets.active, "1000000001_1.jpg")
        assert process.returncode is None
        await site.deployment.start("resizer")
        assert await process.wait() == 0
        assert await keys(site.deployment.buckets.active) == complete("1000000001_1.jpg")


async def test_what_is_deleted_meanwhile_stays_deleted(tmp_path: Path) -> None:
    async with moving("rabbit-local", tmp_path) as site, Originals.served({"1000000001_1.jpg": PHOTO}) as originals:
        deployment: Deployment = site.deployment
        await deployment.start("publisher")
        await site.database.add([(1, "1000000001_1.jpg", False)])
        process = await site.begin("migrator", "migrate", V5_IMAGES=originals.url)
        await deployment.wait_for(deployment.buckets.active, "1000000001_1.jpg")
        body = {"secret": deployment.environment["API_SECRET_KEY"], "filenames": ["1000000001_1.jpg"]}
        async with deployment.http.post(f"{deployment.url('publisher')}/delete", json=body) as answer:
            assert answer.status == 200
        await deployment.start("resizer")
        assert await process.wait() == 0
        (line,) = [json.loads(text) for text in site.report_file.read_text().splitlines()]
        assert line == {"image": "1000000001_1.jpg", "result": "skipped", "error": "deleted"}

        async def empty() -> bool:
            return not await keys(deployment.buckets.active)

        await eventually(empty, "an empty bucket")
