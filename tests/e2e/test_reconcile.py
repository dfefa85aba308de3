"""`python -m publisher reconcile`: faults are reported, and repaired with --repair, on a real store and broker."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.commands import everything, put, run
from tests.support.deployment import SECRET, Deployment, keys
from tests.support.eventually import eventually
from tests.support.migration import Run
from tests.support.pictures import photo
from tests.support.servers import free_port

PHOTO = photo(320, 240)


@pytest.fixture(params=["rabbit-local", "rabbit-s3"])
async def deployment(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Deployment]:
    async with Deployment.prepared(request.param, tmp_path, RECONCILE_AFTER="0", GENERATE_WEBP="1") as prepared:
        yield prepared


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[Deployment]:
    async with Deployment.prepared("rabbit-local", tmp_path, RECONCILE_AFTER="0") as prepared:
        yield prepared


async def reconcile(deployment: Deployment, *options: str, **settings: str) -> Run:
    """Run the command, once all objects have an age: a store may tell the time in whole seconds."""
    await asyncio.sleep(2 if deployment.s3 else 0)
    return await run(deployment, "publisher", "reconcile", *options, **settings)


def complete(name: str) -> set[str]:
    stem = name.partition(".")[0]
    versions = {f"{stem}{suffix}.{ending}" for suffix in ("BI", "MI", "SI") for ending in ("jpg", "webp")}
    return {name, f"{stem}.json", f"{stem}.modern.json", *versions}


def said(output: str) -> set[str]:
    """The class and the image of each line, without the totals."""
    return {line.partition(":")[0] for line in output.splitlines() if line[0] != " " and not line.startswith("Images")}


async def test_each_class_is_reported_and_then_repaired(deployment: Deployment) -> None:
    incoming, active = deployment.buckets.incoming, deployment.buckets.active
    await deployment.start("resizer")
    finished = await finished_image(deployment)
    await put(active, "1_2BI.jpg", "1_2.json", "1_3.crop", "1_4.jpg", "1_5BI.jpg", "1_5.jpg")
    await put(incoming, "tombstones/1_5", "1_6BI.jpg", "1_7.gif")
    await active.put("1_1.jpg", PHOTO)
    await incoming.put("1_8.jpg", PHOTO)
    for bucket in (incoming, active):
        await bucket.put("1_9.jpg", PHOTO)
    for key in complete(finished) - {finished}:  # these were never moved
        await incoming.copy_from(active, key)
        await active.delete(key)
    before = await everything(deployment)

    found = await reconcile(deployment, RABBITMQ_URL="")
    classes = {
        "no-record 1_1.jpg",
        "no-original 1_2",
        "stray-crop 1_3",
        "no-record 1_4.jpg",
        "deleted 1_5",
        "no-original 1_6",
        "no-record 1_7.gif",
        "no-record 1_8.jpg",
        "in-both 1_9.jpg",
        "no-record 1_9.jpg",
        f"not-moved {finished}",
    }
    assert said(found.output) == classes
    assert found.status == 1
    assert "Images: 10, findings: 11, settled: 0, left: 11" in found.output
    assert "  no-record: 5, settled: 0" in found.output
    assert await everything(deployment) == before

    repaired = await reconcile(deployment, "--repair")
    assert repaired.status == 0, repaired.output + repaired.errors
    assert said(repaired.output) == classes
    assert "Images: 10, findings: 11, settled: 11, left: 0" in repaired.output

    # 1_4.jpg and 1_7.gif are no pictures: their records say so.
    expected = {f"active/{key}" for name in ("1_1.jpg", "1_9.jpg", finished) for key in complete(name)}
    expected |= {f"incoming/{key}" for key in complete("1_8.jpg")} | {"incoming/tombstones/1_5"}
    expected |= {"active/1_4.jpg", "active/1_4.json", "incoming/1_7.gif", "incoming/1_7.json"}

    async def is_repaired() -> bool:
        return await everything(deployment) == expected

    try:
        await eventually(is_repaired, "nothing left to repair")
    except AssertionError:
        assert await everything(deployment) == expected
    again = await reconcile(deployment, "--repair")
    assert (again.status, said(again.output)) == (0, set()), again.output


async def finished_image(deployment: Deployment) -> str:
    """An image with everything, public."""
    await deployment.buckets.active.put("1_10.jpg", PHOTO)
    assert (await reconcile(deployment, "--repair")).status == 0
    await deployment.wait_for(deployment.buckets.active, "1_10.modern.json")
    return "1_10.jpg"


async def test_versions_that_show_another_part_than_the_crop_are_reported_and_made_anew(local: Deployment) -> None:
    """As a service of an earlier version left them, that was killed before its request for them was sent."""
    active = local.buckets.active
    await local.start("resizer")
    await put(active, "1_2.crop")
    for name in ("1_1.jpg", "1_3.jpg"):
        await active.put(name, PHOTO)
    assert (await reconcile(local, "--repair")).status == 0
    for name in ("1_1", "1_3"):
        await local.wait_for(active, f"{name}.json")
    await active.put("1_1.crop", b"100x50+0+0")
    found = await reconcile(local, RABBITMQ_URL="")
    assert (found.status, said(found.output)) == (1, {"other-crop 1_1.jpg"}), found.output
    repaired = await reconcile(local, "--repair")
    assert (repaired.status, said(repaired.output)) == (0, {"other-crop 1_1.jpg"}), repaired.output

    async def cropped() -> bool:
        return b"100x50+0+0" in await active.get("1_1.json")

    await eventually(cropped, "a record of the crop")
    again = await reconcile(local)
    assert (again.status, said(again.output)) == (0, set()), again.output


async def test_records_that_nobody_can_read_are_reported_and_made_anew(deployment: Deployment) -> None:
    incoming, active = deployment.buckets.incoming, deployment.buckets.active
    await deployment.start("resizer")
    public = await finished_image(deployment)
    await incoming.put("1_1.jpg", PHOTO)
    assert (await reconcile(deployment, "--repair")).status == 0
    await deployment.wait_for(incoming, "1_1.modern.json")
    spoilt = ((active, "1_10.json"), (incoming, "1_1.modern.json"))
    for bucket, key in spoilt:
        await bucket.put(key, (await bucket.get(key))[:100])

    classes = {f"unreadable-record {public}", "unreadable-record 1_1.jpg"}
    found = await reconcile(deployment, RABBITMQ_URL="")
    assert (found.status, said(found.output)) == (1, classes), found.output
    assert f"unreadable-record {public}: base\n" in found.output
    assert "unreadable-record 1_1.jpg: modern\n" in found.output
    repaired = await reconcile(deployment, "--repair")
    assert (repaired.status, said(repaired.output)) == (0, classes), repaired.output

    async def are_readable() -> bool:
        return all([(await bucket.get(key)).endswith(b"\n}\n") for bucket, key in spoilt])

    await eventually(are_readable, "records that can be read")
    again = await reconcile(deployment)
    assert (again.status, said(again.output)) == (0, set()), again.output
    assert await keys(active) == complete(public)
    assert await keys(incoming) == complete("1_1.jpg")


async def test_a_record_that_nobody_can_read_beside_one_that_is_missing(local: Deployment) -> None:
    for name in ("1_1", "1_2"):
        await local.buckets.active.put(f"{name}.jpg", PHOTO)
    await local.buckets.active.put("1_1.json", b"")
    await local.buckets.active.put("1_2.modern.json", b"{}")
    found = await reconcile(local, GENERATE_WEBP="1")
    assert "unreadable-record 1_1.jpg: base\n" in found.output
    assert "unreadable-record 1_2.jpg: modern\n" in found.output
    assert "no-record 1_2.jpg: base\n" in found.output
    assert "findings: 3, " in found.output


async def test_what_is_young_is_in_hand_and_strange_keys_are_only_reported(deployment: Deployment) -> None:
    await put(deployment.buckets.active, "1_1.jpg", "1_2BI.jpg", "strange")
    young = await reconcile(deployment, RECONCILE_AFTER="")
    assert (young.status, said(young.output)) == (0, set()), young.output
    strange = await reconcile(deployment, "--repair")
    assert strange.status == 1
    assert "unknown-key active/strange" in said(strange.output)
    assert "left: 1" in strange.output
    assert await keys(deployment.buckets.active) == {"1_1.jpg", "strange"}


async def test_against_the_names_that_the_site_knows(deployment: Deployment) -> None:
    incoming, active = deployment.buckets.incoming, deployment.buckets.active
    for name in ("1_1.jpg", "1_2.PNG", "1_3.jpg"):
        await put(active, name, f"{name[:3]}.json", f"{name[:3]}.modern.json")
    await put(incoming, "1_4.jpg", "1_4.json", "1_4.modern.json", "tombstones/1_6")
    names = deployment.folder / "names.txt"
    names.write_text("\ufeff1_1.jpg\r\n\n# a comment\n1_3.png\n1_4.jpg\n../1_5.jpg\n1_6.jpg\n1_1.jpg\n")
    found = await reconcile(deployment, "--repair", "--names", str(names))
    assert said(found.output) >= {"unlisted 1_2.PNG", "unlisted 1_3.jpg", "gone 1_3.png", "not-public 1_4.jpg"}
    assert f"malformed {names}:6" in {line.rpartition(": '")[0] for line in found.output.splitlines()}
    assert "gone 1_6.jpg" in said(found.output)
    assert found.status == 1
    assert await active.stat("1_2.PNG"), "what no document has is a person's to decide about"
    without = await reconcile(deployment)
    assert not {line.split()[0] for line in said(without.output)} & {"unlisted", "gone", "not-public"}


async def test_what_stops_it_is_said_in_one_line(deployment: Deployment) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    store = {"STORE_ENDPOINT": nowhere} if deployment.s3 else {"ACTIVE_FOLDER": "/proc/none"}
    for options, settings in (
        (["--names", "missing.txt"], {}),
        (["--names", "."], {}),
        ([], store),
        (["--repair"], {"RABBITMQ_URL": ""}),
    ):
        failed = await reconcile(deployment, *options, **settings)
        assert (failed.status, len(failed.errors.splitlines())) == (2, 1), failed.errors
        assert failed.output == ""


@pytest.mark.parametrize("path", ["/rotate", "/recrop"])
async def test_the_copy_of_an_edit_that_was_killed_is_found(path: str, local: Deployment) -> None:
    """Nobody was told its name: no document can have it."""
    active = local.buckets.active
    await local.start("publisher")

    async def wait_for_broker() -> bool:
        async with local.http.get(f"{local.url('publisher')}/readyz") as answer:
            return bool((await answer.json())["broker"] == "ok")

    await eventually(wait_for_broker, "a connection to the broker")
    await active.put("1_1.jpg", PHOTO)
    body = {"secret": SECRET, "filename": "1_1.jpg"}
    call = asyncio.create_task(local.http.post(f"{local.url('publisher')}{path}", json=body).__aenter__())

    async def copied() -> set[str]:
        requested = not await keys(local.buckets.incoming)
        return await keys(active) - {"1_1.jpg"} if requested else set()

    (copy,) = await eventually(copied, "the copy, which waits for thumbnails")
    await local.processes["publisher"].kill()
    await asyncio.gather(call, return_exceptions=True)
    (local.folder / "names.txt").write_text("1_1.jpg\n")
    found = await reconcile(local, "--names", "names.txt")
    assert said(found.output) == {f"unlisted {copy}", f"no-record {copy}", "no-record 1_1.jpg"}
    assert found.status == 1
