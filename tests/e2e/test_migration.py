"""Moving a site onto this backend: what v5 has becomes public, and the report tells the truth."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.deployment import Deployment, keys
from tests.support.eventually import eventually
from tests.support.migration import PHOTO, Moving, complete, moving
from tests.support.originals import Originals
from tests.support.pictures import SVG, transparent_png
from tests.support.terminal import rows, shown

PNG = transparent_png()


@pytest.fixture(params=["rabbit-local", "rabbit-s3"])
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Moving]:
    async with moving(request.param, tmp_path) as site:
        await site.deployment.start("resizer")
        yield site


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
