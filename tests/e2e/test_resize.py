"""`python -m resizer resize`: thumbnails of what is public made anew, by the resizers that run."""

import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.deployment import keys
from tests.support.eventually import eventually
from tests.support.migration import Moving, moving
from tests.support.pictures import photo

from common.messaging.topology import RESIZER_BULK

WEBP = {"GENERATE_WEBP": "1"}
NAMES = [f"{1000000000 + number}_{number}.jpg" for number in range(6)]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Moving]:
    """Six originals of an old backend, without records; the resizer makes WebP, too."""
    async with moving("rabbit-local", tmp_path) as site:
        for name in NAMES:
            await site.deployment.buckets.active.put(name, photo(320, 240))
        await site.deployment.start("resizer", **WEBP)
        yield site


async def written(site: Moving, *endings: str) -> dict[str, float]:
    """When the objects with these endings were written."""
    folder = site.deployment.folder / "active"
    return {path.name: path.stat().st_mtime for path in folder.iterdir() if path.name.endswith(endings)}


async def test_a_stage_at_a_time(site: Moving) -> None:
    base = await site.command("resizer", "resize", "--missing", "--stage", "base")
    assert (base.status, base.totals) == (0, "Images: 6, skipped: 0, processed: 6, errors: 0"), base.errors
    before = await written(site, ".jpg")
    assert len(before) == 6 * 4
    modern = await site.command("resizer", "resize", "--missing", "--stage", "modern", **WEBP)
    assert modern.status == 0, modern.errors
    assert len(await written(site, ".webp")) == 6 * 3
    assert await written(site, ".jpg") == before, "adding WebP touches no JPEG"
    again = await site.command("resizer", "resize", "--missing", **WEBP)
    assert (again.status, again.totals) == (0, "Images: 6, skipped: 6, processed: 0, errors: 0")
    without = await site.command("resizer", "resize", "--missing", "--stage", "modern")
    assert without.status == 2
    assert "expected GENERATE_WEBP" in without.errors


async def test_a_run_that_was_stopped_says_what_goes_on(site: Moving) -> None:
    await site.deployment.processes["resizer"].kill()
    process = await site.begin("resizer", "resize", "--prefix", "1000", **WEBP)

    async def asked() -> bool:
        assert site.deployment.vhost is not None
        return (await site.deployment.vhost.queues()).get(RESIZER_BULK.name, {}).get("messages") == len(NAMES)

    await eventually(asked, "requests that wait for a resizer")
    process.send_signal(signal.SIGINT)
    _, errors = await process.communicate()
    assert process.returncode == 2
    last = errors.decode().splitlines()[-1]
    told, _, line = last.partition(": python -m resizer resize ")
    assert told == (
        "resizer resize: stopped before the end; this goes on with what has no thumbnails of today's settings"
    )
    assert line == f"--missing --report {site.report_file} --prefix 1000"
    await site.deployment.start("resizer", **WEBP)
    run = await site.command("resizer", "resize", "--missing", "--prefix", "1000", **WEBP)
    assert run.status == 0
    assert len(await written(site, ".webp")) == 6 * 3


async def test_missing_means_missing(site: Moving) -> None:
    active = site.deployment.buckets.active
    assert (await site.command("resizer", "resize", **WEBP)).status == 0
    await active.delete(f"{NAMES[0][:-4]}.json")
    record = json.loads(await active.get(f"{NAMES[1][:-4]}.json"))
    await active.put(f"{NAMES[1][:-4]}.json", json.dumps(record | {"configuration": "another"}).encode())
    await active.put(NAMES[2], b"\xff\xd8\xff is no photo")
    broken = await site.command("resizer", "resize", "--key", NAMES[2], **WEBP)
    assert (broken.status, broken.totals) == (1, "Images: 1, skipped: 0, processed: 0, errors: 1")
    assert broken.report[0]["error"] == "broken"
    run = await site.command("resizer", "resize", "--missing", "--limit", "5", **WEBP)
    assert (run.status, run.totals) == (0, "Images: 6, skipped: 4, processed: 2, errors: 0"), run.report
    assert {line["image"] for line in run.report if line["result"] == "processed"} == {NAMES[0], NAMES[1]}
    await active.put(NAMES[2], photo(320, 240))
    forced = await site.command("resizer", "resize", "--missing", "--force", **WEBP)
    assert (forced.status, forced.totals) == (0, "Images: 6, skipped: 5, processed: 1, errors: 0")


async def test_a_selection(site: Moving) -> None:
    run = await site.command("resizer", "resize", "--prefix", "1000000004", **WEBP)
    assert run.totals == "Images: 1, skipped: 0, processed: 1, errors: 0"
    run = await site.command("resizer", "resize", "--younger", "30d", **WEBP)
    assert run.totals == "Images: 0, skipped: 0, processed: 0, errors: 0"
    run = await site.command("resizer", "resize", "--older", "30d", "--limit", "2", **WEBP)
    assert run.totals == "Images: 2, skipped: 0, processed: 2, errors: 0"
    for wrong, expected in (
        (["--older", "soon"], "expected days"),
        (["--prefix", "photo"], "expected the beginning"),
        (["--key", "photo.jpg"], "expected SECONDS_DIGITS"),
        (["--jobs", "0"], "expected a whole number"),
        (["--key", "1000000099_1.jpg"], "is not public"),
    ):
        run = await site.command("resizer", "resize", *wrong)
        assert run.status == 2
        assert expected in run.errors.strip().splitlines()[-1]


async def test_a_price_is_said_and_nothing_done(site: Moving) -> None:
    before = await keys(site.deployment.buckets.active)
    run = await site.command("resizer", "resize", "--missing", "--dry-run", **WEBP)
    assert (run.status, run.totals) == (0, "Images: 6, skipped: 0, to process: 6, errors: 0")
    assert "base: 6 images, about 0.00 CPU hours" in run.output
    assert "modern: 6 images" in run.output
    assert await keys(site.deployment.buckets.active) == before


async def test_a_crop_is_kept(site: Moving) -> None:
    active = site.deployment.buckets.active
    await active.put(f"{NAMES[0][:-4]}.crop", b"100x100+10+10")
    run = await site.command("resizer", "resize", "--key", NAMES[0], **WEBP)
    assert run.status == 0, run.report
    record = json.loads(await active.get(f"{NAMES[0][:-4]}.json"))
    assert record["crop"] == "100x100+10+10"
    run = await site.command("resizer", "resize", "--missing", "--key", NAMES[0], **WEBP)
    assert run.totals == "Images: 1, skipped: 1, processed: 0, errors: 0"


async def test_resizers_with_other_settings(site: Moving) -> None:
    sizes = '[{"suffix": "XX", "convert": ["-resize", "100x100"]}]'
    for settings in ({"RESIZING_CONFIG": sizes}, {**WEBP, "GENERATE_AVIF": "1"}):
        run = await site.command("resizer", "resize", "--missing", **settings)
        assert run.status == 2
        assert "the resizers run with other settings" in run.errors.splitlines()[-1]
    await site.deployment.processes["resizer"].terminate()
    await site.deployment.buckets.active.delete(f"{NAMES[0][:-4]}.modern.json")
    await site.deployment.start("resizer")
    run = await site.command("resizer", "resize", "--missing", "--stage", "modern", **WEBP)
    assert run.status == 2
    assert "the resizers run with other settings" in run.errors.splitlines()[-1]


async def test_two_originals_of_one_name_take_turns(site: Moving) -> None:
    active = site.deployment.buckets.active
    await active.put(f"{NAMES[0][:-4]}.png", photo(320, 240))
    run = await site.command("resizer", "resize", "--prefix", NAMES[0][:-4], **WEBP)
    assert run.totals == "Images: 2, skipped: 0, processed: 2, errors: 0"
