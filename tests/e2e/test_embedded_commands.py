"""The commands of the embedded default, which need no broker: beside the process that serves, and without it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.commands import everything, put, run
from tests.support.deployment import Deployment, keys
from tests.support.eventually import eventually
from tests.support.migration import complete as complete_keys
from tests.support.migration import moving
from tests.support.originals import Originals
from tests.support.pictures import photo, transparent_png

PHOTO = photo(320, 240)


@pytest.fixture(params=["embedded", "embedded-s3"])
async def deployment(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Deployment]:
    async with Deployment.prepared(request.param, tmp_path, RECONCILE_AFTER="0") as prepared:
        yield prepared


async def test_resize_renders_what_is_public_beside_a_process_that_serves(deployment: Deployment) -> None:
    names = [f"{1000000000 + number}_{number}.jpg" for number in range(1, 4)]
    for name in names:
        await deployment.buckets.active.put(name, PHOTO)
    await deployment.buckets.active.put("1000000009_9.jpg", b"no picture")
    await deployment.start()
    ran = await run(deployment, "standalone", "resize")
    assert (ran.status, ran.totals) == (1, "Images: 4, skipped: 0, processed: 3, errors: 1"), ran.errors
    failed = {"1000000009_9.jpg", "1000000009_9.json"}
    assert await keys(deployment.buckets.active) == complete_keys(*names) | failed
    again = await run(deployment, "standalone", "resize", "--missing")
    assert (again.status, again.totals) == (0, "Images: 4, skipped: 4, processed: 0, errors: 0")
    await deployment.nothing_temporary()


async def test_reconcile_repairs_all_that_is_found_before_it_ends(deployment: Deployment) -> None:
    incoming, active = deployment.buckets.incoming, deployment.buckets.active
    await incoming.put("1000000001_1.jpg", PHOTO)
    for bucket in (incoming, active):
        await bucket.put("1000000002_2.jpg", PHOTO)
    await put(active, "1000000003_3BI.jpg")
    await asyncio.sleep(2 if deployment.s3 else 0)  # all of it has an age: a store may tell the time in whole seconds
    found = await run(deployment, "standalone", "reconcile")
    assert found.status == 1
    repaired = await run(deployment, "standalone", "reconcile", "--repair")
    assert repaired.status == 0, repaired.output + repaired.errors
    assert await everything(deployment) == {
        *(f"incoming/{key}" for key in complete_keys("1000000001_1.jpg")),
        *(f"active/{key}" for key in complete_keys("1000000002_2.jpg")),
    }


async def test_clean_removes_what_deletions_left(deployment: Deployment) -> None:
    await put(deployment.buckets.active, "1000000001_1.jpg", "1000000001_1OLD.jpg", "1000000002_2.jpg")
    await deployment.buckets.incoming.put("tombstones/1000000001_1", b"")
    ran = await run(deployment, "standalone", "clean")
    assert ran.status == 0, ran.errors
    assert await keys(deployment.buckets.active) == {"1000000002_2.jpg"}


@pytest.mark.parametrize("kind", ["embedded", "embedded-s3"])
async def test_migrate_brings_a_site_over(kind: str, tmp_path: Path) -> None:
    files = {"1000000001_1.jpg": PHOTO, "1000000002_22.png": transparent_png(), "1000000003_3.jpg": b"<html>"}
    async with moving(kind, tmp_path) as site, Originals.served(files) as originals:
        await site.database.add([(number, name, False) for number, name in enumerate(files, 1)])
        ran = await site.command("standalone", "migrate", V5_IMAGES=originals.url)
        assert (ran.status, ran.totals) == (1, "Images: 3, skipped: 0, processed: 2, errors: 1"), ran.errors
        assert await keys(site.deployment.buckets.active) == complete_keys("1000000001_1.jpg", "1000000002_22.png")
        again = await site.command("standalone", "migrate", V5_IMAGES=originals.url)
        assert again.totals == "Images: 3, skipped: 2, processed: 0, errors: 1"
        needed = await run(site.deployment, "standalone", "migrate")
        assert (needed.status, "V5_DATABASE_URL" in needed.errors) == (2, True)


async def test_two_processes_on_the_same_buckets_say_so_and_lose_nothing(deployment: Deployment) -> None:
    await deployment.start()
    two = await deployment.launch("standalone", alias="two")
    await deployment.wait_ready(two)

    async def said() -> bool:
        return any("another process serves these buckets" in str(line["event"]) for line in two.lines())

    await eventually(said, "a warning of the second process")
    one = deployment.processes["standalone"]
    assert not any("another process" in str(line["event"]) for line in one.lines())
    names = [await deployment.uploaded(photo(320 + number, 240)) for number in range(6)]
    for number, name in enumerate(names):
        url = (one, two)[number % 2].url
        body = {"secret": deployment.environment["API_SECRET_KEY"], "filename": name}
        async with deployment.http.post(f"{url}/publish", json=body) as answer:
            assert answer.status == 200

    async def all_public() -> bool:
        public, private = [await keys(bucket) for bucket in (deployment.buckets.active, deployment.buckets.incoming)]
        return (public, private) == (complete_keys(*names), set())

    await eventually(all_public, "all images public, with their thumbnails, and nothing private")
