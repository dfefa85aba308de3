"""`python -m publisher clean`, and the publisher's own sweeps: whole images go, or stay whole."""

import asyncio
from pathlib import Path

import pytest
from tests.support.commands import DAY, age, begin, everything, put, run
from tests.support.deployment import Deployment, keys
from tests.support.eventually import eventually
from tests.support.large_site import FILES, fill, name_of

from common.images.names import ImageKey
from common.images.plan import Plan
from common.images.sizes import parse_sizes

LOCK = "locks/clean"


def whole(name: str) -> list[str]:
    """All keys of an image with both its records."""
    image = ImageKey.parse(name)
    versions = [image.variant_key(suffix) for suffix in ("BI", "MI", "SI")]
    return [name, f"{image.name}.json", f"{image.name}.modern.json", f"{image.name}MI.webp", *versions]


def placed(place: str, names: list[str]) -> set[str]:
    return {f"{place}/{name}" for name in names}


async def test_what_goes_and_what_stays(tmp_path: Path) -> None:
    async with Deployment.prepared("rabbit-local", tmp_path) as deployment:
        incoming, active = deployment.buckets.incoming, deployment.buckets.active
        expired, young, grace, public = whole("1_1.jpg"), whole("1_2.png"), whole("1_3.gif"), whole("1_4.svg")
        await put(incoming, *expired, *young, *grace, *public)
        await put(active, "1_4.svg", "1_1.crop", "1_4.crop", "1_5.crop", "1_6BI.jpg")
        for number in (6, 7, 8):
            await incoming.put(f"tombstones/1_{number}", b"")
        await put(incoming, "1_9BI.jpg", "1_9.json", "notes.txt")
        age(deployment, 25 * 3600 + 60, *placed("incoming", [*expired, *public, "1_9BI.jpg", "1_9.json", "notes.txt"]))
        age(deployment, DAY + 60, *placed("incoming", grace))
        age(deployment, 91 * DAY, "incoming/tombstones/1_6", "incoming/tombstones/1_7")
        age(deployment, 89 * DAY, "incoming/tombstones/1_8")
        before = await everything(deployment)

        dry = await run(deployment, "publisher", "clean", "--dry-run", "--verbose")
        assert dry.totals == "Images: 9, skipped: 4, to process: 5, errors: 0", dry.errors
        assert await everything(deployment) == before
        only = await run(deployment, "publisher", "clean", "--key", "1_9.jpg", "--report", str(tmp_path / "report"))
        assert only.totals == "Images: 1, skipped: 0, processed: 1, errors: 0", only.errors
        assert (tmp_path / "report").read_text() == '{"image": "1_9", "result": "processed", "reason": "remains"}\n'

        swept = await run(deployment, "publisher", "clean", "--verbose")
        assert swept.status == 0, swept.errors
        lines = swept.output.splitlines()[:-1]
        # The crop of 1_1 is looked at while its image goes.
        assert sorted(line for line in lines if not line.startswith("1_1 ")) == [
            "1_1.jpg processed: expired",
            "1_4 skipped",
            "1_4.svg processed: public",
            "1_5 processed: stray",
            "1_6 processed: deleted",
            "1_7 skipped",
            "1_8 skipped",
        ]
        moved = placed("active", [*public, "1_4.crop"]) - {"active/1_4MI.webp"}
        left = placed("incoming", [*young, *grace, "notes.txt", *(f"tombstones/1_{number}" for number in (6, 7, 8))])
        found = await everything(deployment)
        # Versions of a cropped image that were made before it was are not moved, but asked for anew.
        assert found >= left
        assert {key for key in found if key.startswith("incoming/")} == left
        assert {key for key in found if key.startswith("active/")} <= moved
        assert {"active/1_4.svg", "active/1_4.crop"} <= found

        again = await run(deployment, "publisher", "clean", "--verbose")
        assert sorted(again.output.splitlines()[:-1]) == ["1_4 skipped", "1_6 skipped"], "nothing is left of it by now"
        last = await run(deployment, "publisher", "clean")
        assert last.totals == "Images: 1, skipped: 1, processed: 0, errors: 0"
        assert left <= await everything(deployment), "tombstones are kept: a migration asks for them"


@pytest.mark.parametrize("days", [0, 30, 89])
async def test_a_deletion_that_died_after_its_tombstone_ends_with_the_next_start(days: int, tmp_path: Path) -> None:
    """A whole image with its records, which looks as if there were no pending work on it."""
    async with Deployment.prepared("embedded", tmp_path) as deployment:
        await put(deployment.buckets.active, *whole("1_1.jpg"), "1_1OLD.png", *whole("1_2.jpg"))
        await deployment.buckets.incoming.put("tombstones/1_1", b"")
        age(deployment, days * DAY, *placed("active", [*whole("1_1.jpg"), "1_1OLD.png"]), "incoming/tombstones/1_1")
        await deployment.start()

        async def gone() -> bool:
            return not [key for key in await keys(deployment.buckets.active) if key.startswith("1_1")]

        await eventually(gone, "nothing left of what was deleted")
        assert set(whole("1_2.jpg")) <= await keys(deployment.buckets.active)


@pytest.mark.parametrize("kind", ["embedded", "rabbit-local"])
async def test_the_service_sweeps_by_itself(kind: str, tmp_path: Path) -> None:
    """Two replicas, where there can be two, sweep all the time, and neither stumbles over the other."""
    async with Deployment.prepared(kind, tmp_path, CLEAN_INTERVAL="0.05") as deployment:
        incoming = deployment.buckets.incoming
        images = [f"1_{number}.jpg" for number in range(1, 60)]
        for image in images:
            await put(incoming, *whole(image))
            age(deployment, 2 * DAY, *placed("incoming", whole(image)))
        await put(incoming, *whole("2_1.jpg"))
        name = "standalone" if kind == "embedded" else "publisher"
        replicas = [await deployment.launch(name, alias=alias) for alias in ("one", "two")[: 1 + (kind != "embedded")]]
        for replica in replicas:
            await deployment.wait_ready(replica)

        async def swept() -> bool:
            return await keys(incoming) == set(whole("2_1.jpg"))

        await eventually(swept, "a swept bucket")
        await asyncio.sleep(0.5)
        assert await swept()

        def lines() -> list[dict[str, object]]:
            return [line for replica in replicas for line in replica.lines()]

        async def told() -> bool:
            return {line.get("image") for line in lines() if line.get("what") == "expired"} == set(images)

        await eventually(told, "a line about each of them")
        assert not [line for line in lines() if line["level"] in ("warning", "error") and "swept" in str(line["event"])]
        metrics = f"http://127.0.0.1:{replicas[0].metrics_port}/metrics"
        async with deployment.http.get(metrics) as answer:
            assert "image_backend_swept" in await answer.text()


async def test_a_lock_keeps_others_from_sweeping_until_its_holder_is_long_dead(tmp_path: Path) -> None:
    async with Deployment.prepared("rabbit-local", tmp_path, CLEAN_INTERVAL="0.05") as deployment:
        incoming = deployment.buckets.incoming
        await put(incoming, *whole("1_1.jpg"))
        age(deployment, 2 * DAY, *placed("incoming", whole("1_1.jpg")))
        await incoming.put(LOCK, b"somebody else")
        age(deployment, 500, f"incoming/{LOCK}")
        await deployment.start("publisher")
        await asyncio.sleep(1)
        assert await keys(incoming) == set(whole("1_1.jpg"))
        assert await incoming.get(LOCK) == b"somebody else"
        age(deployment, 700, f"incoming/{LOCK}")

        async def swept() -> bool:
            return not await keys(incoming)

        await eventually(swept, "a swept bucket")
        assert await deployment.processes["publisher"].terminate() == 0
        assert await incoming.stat(LOCK) is None


async def test_a_sweep_that_is_killed_is_finished_by_the_next(tmp_path: Path) -> None:
    async with Deployment.prepared("rabbit-local", tmp_path) as deployment:
        incoming = deployment.buckets.incoming
        fill(tmp_path / "incoming", 400, Plan(parse_sizes(None)))
        age(deployment, 2 * DAY, *(f"incoming/{name_of(1)}{ending}" for ending in (".jpg", ".json")))  # and all others
        process = await begin(deployment, "publisher", "clean")

        async def begun() -> bool:
            return len(await keys(incoming)) < 400 * FILES - 50

        await eventually(begun, "the first images gone")
        process.kill()
        await process.communicate()
        left = await keys(incoming)
        assert left, "it was killed before the end"
        assert (await run(deployment, "publisher", "clean")).status == 0
        assert await keys(incoming) == set()


async def test_what_stops_it_is_said_in_one_line(tmp_path: Path) -> None:
    async with Deployment.prepared("rabbit-local", tmp_path) as deployment:
        (tmp_path / "file").write_text("")
        for settings in ({"RABBITMQ_URL": ""}, {"INCOMING_FOLDER": str(tmp_path / "file")}):
            failed = await run(deployment, "publisher", "clean", **settings)
            assert (failed.status, len(failed.errors.splitlines())) == (2, 1), failed.errors
