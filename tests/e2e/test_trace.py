"""`trace KEY`: what an operator learns of one image, whatever has become of it."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.commands import DAY, age, everything, run
from tests.support.dead_letters import all_queues, broker_of, put_dead
from tests.support.deployment import SECRET, Deployment, complete
from tests.support.eventually import eventually
from tests.support.pictures import photo
from tests.support.servers import free_port

from common.images.records import Failure, Record, encode_record

PHOTO = photo(300, 200)


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    async with Deployment.prepared("rabbit-local", tmp_path) as prepared:
        yield prepared


async def traced(deployment: Deployment, name: str, **settings: str) -> dict[str, Any]:
    """What `--json` tells; it has changed nothing."""
    before = await everything(deployment)
    program = deployment.program("publisher")
    ended = await run(deployment, program, "trace", name, "--json", **settings)
    assert ended.status == 0, ended.errors
    assert await everything(deployment) == before
    found: dict[str, Any] = json.loads(ended.output)
    assert found["image"] == name
    return found


async def told(deployment: Deployment, name: str) -> str:
    """What a person reads."""
    ended = await run(deployment, deployment.program("publisher"), "trace", name)
    assert ended.status == 0, ended.errors
    return ended.output


def kinds(found: dict[str, Any]) -> list[str]:
    return [pending["kind"] for pending in found["pending"]]


async def test_an_image_from_its_upload_to_its_deletion(deployment: Deployment) -> None:
    await deployment.start("ingest")
    name = await deployment.uploaded(PHOTO)

    found = await traced(deployment, name)
    assert (found["state"], found["records"], found["tombstone"]) == ("processing", [], None)
    (original,) = found["objects"]
    assert (original["bucket"], original["key"], original["bytes"]) == ("incoming", name, len(PHOTO))
    assert 0 <= original["age"] < 60
    assert kinds(found) == ["activation", "no-record"]
    assert re.search(r"if that was lost, the reconciler does it in (10 min|9 min \d)", found["pending"][1]["next"])
    await eventually(lambda: broker_of(deployment).messages("resizer.live"), "the event, which waits")
    found = await traced(deployment, name)
    waiting = {state["queue"]: (state["waiting"], state["retried"]) for state in found["events"]["queues"]}
    assert waiting == {"resizer.live": (1, 0), "resizer.follow-up": (0, 0), "resizer.bulk": (0, 0), "publisher": (0, 0)}
    assert "cannot be read without taking it from its queue" in " ".join(found["events"]["unknown"])

    await deployment.start("resizer")
    await deployment.wait_for(deployment.buckets.incoming, f"{name[:-4]}.json")
    found = await traced(deployment, name)
    assert (found["state"], found["settled"], kinds(found)) == ("ready", False, ["activation"])
    assert found["pending"][0]["next"].startswith("/publish makes it public, for another ")
    (record,) = found["records"]
    assert (record["bucket"], record["variants"], record["current_settings"]) == ("incoming", 3, True)
    assert len(found["objects"]) == 5

    await deployment.start("publisher")
    assert (await deployment.publish(name))[0] == 200
    await eventually(lambda: complete(deployment, name), "a public image")
    found = await traced(deployment, name)
    assert (found["state"], found["settled"], kinds(found)) == ("active", True, [])
    assert {one["bucket"] for one in found["objects"]} == {"active"}
    text = await told(deployment, name)
    assert f"{name} active\n" in text
    assert "\nto do:\n  none\n" in text

    body = {"secret": SECRET, "filenames": [name]}
    async with deployment.http.post(f"{deployment.url('publisher')}/delete", json=body) as answer:
        assert answer.status == 200
    found = await traced(deployment, name)
    assert (found["state"], found["reason"]) == ("unknown", "it was deleted")
    assert (found["objects"], found["tombstone"]["verified"], kinds(found)) == ([], False, [])
    await deployment.buckets.active.put(f"{name[:-4]}BI.jpg", PHOTO)
    text = await told(deployment, name)
    assert f"deleted: it was deleted, and this is left: active/{name[:-4]}BI.jpg" in text
    assert f"the next sweep removes it; so does python -m publisher clean --key {name}" in text


async def test_a_name_that_is_not_known_is_told_as_such(deployment: Deployment) -> None:
    found = await traced(deployment, "1475660224_1.jpg")
    assert (found["state"], found["objects"], kinds(found)) == ("unknown", [], [])
    assert "1475660224_1.jpg unknown: there is no such image" in await told(deployment, "1475660224_1.jpg")
    await deployment.buckets.active.put("1475660224_1.png", PHOTO)
    found = await traced(deployment, "1475660224_1.jpg")
    assert kinds(found)[0] == "other-ending"
    assert found["pending"][0]["what"] == "the original has another ending: active/1475660224_1.png"


@pytest.mark.parametrize("name", ["photo.jpg", "1475660224_1.webp", "../1475660224_1.jpg"])
async def test_what_is_no_name_is_refused(deployment: Deployment, name: str) -> None:
    ended = await run(deployment, "publisher", "trace", name)
    assert (ended.status, ended.output) == (2, "")
    assert "is not the name of an image: expected SECONDS_DIGITS.jpg" in ended.errors


async def test_an_image_that_is_half_published(deployment: Deployment) -> None:
    both = (deployment.buckets.incoming, deployment.buckets.active)
    for bucket in both:
        await bucket.put("1475660224_1.jpg", PHOTO)
    await both[0].put("1475660224_2SI.jpg", PHOTO)
    await both[1].put("1475660224_2.jpg", PHOTO)
    first = await traced(deployment, "1475660224_1.jpg")
    second = await traced(deployment, "1475660224_2.jpg")
    assert ("in-both" in kinds(first), "not-moved" in kinds(second)) == (True, True)
    (half,) = [one for one in second["pending"] if one["kind"] == "not-moved"]
    assert half["what"] == "it is half published; still to be moved: incoming/1475660224_2SI.jpg"
    assert "the reconciler does it in" in half["next"]
    age(deployment, DAY, "incoming/1475660224_2SI.jpg")
    second = await traced(deployment, "1475660224_2.jpg")
    (half,) = [one for one in second["pending"] if one["kind"] == "not-moved"]
    assert half["next"].startswith("the reconciler does it, once the live queue is empty")


async def test_an_upload_that_was_not_published_in_time(deployment: Deployment) -> None:
    await deployment.buckets.incoming.put("1475660224_1.jpg", PHOTO)
    age(deployment, DAY + 90, "incoming/1475660224_1.jpg")
    found = await traced(deployment, "1475660224_1.jpg")
    assert kinds(found)[0] == "expired"
    assert found["pending"][0]["next"].startswith("a sweep removes it, in 58 min")


async def test_an_image_that_cannot_be_rendered(deployment: Deployment) -> None:
    await deployment.start("resizer")
    await deployment.buckets.incoming.put("1475660224_1.jpg", b"no picture")
    assert (await run(deployment, "publisher", "reconcile", "--repair", RECONCILE_AFTER="0")).status == 0
    await deployment.wait_for(deployment.buckets.incoming, "1475660224_1.json")
    found = await traced(deployment, "1475660224_1.jpg")
    assert (found["state"], kinds(found)) == ("failed", ["failed"])
    (record,) = found["records"]
    assert record["failed"]["class"] in ("broken", "unsupported")
    assert found["pending"][0]["next"] == "nothing renders it again; the photo has to be uploaded anew"


async def test_a_record_that_nobody_can_read(deployment: Deployment) -> None:
    for bucket, name in ((deployment.buckets.incoming, "1475660224_1"), (deployment.buckets.active, "1475660224_2")):
        await bucket.put(f"{name}.jpg", PHOTO)
        await bucket.put(f"{name}.json", b'{"version": 1, "stage"')
    private = await traced(deployment, "1475660224_1.jpg")
    assert (private["state"], private["records"]) == ("processing", [])
    assert kinds(private) == ["activation", "unreadable-record"]
    assert private["pending"][1]["what"] == "its record cannot be read, of the stage base"
    assert "the reconciler does it" in private["pending"][1]["next"]
    (pending,) = (await traced(deployment, "1475660224_2.jpg"))["pending"]
    assert pending["kind"] == "unreadable-record"
    assert "resize --missing --key 1475660224_2.jpg requests them" in pending["next"]


async def test_events_that_could_not_be_handled_and_those_that_wait_to_be_retried(deployment: Deployment) -> None:
    vhost = broker_of(deployment)
    await all_queues(deployment)
    await put_dead(vhost, 1, 2)
    await vhost.put_message("resizer.live.retry.600s", "{}", {})
    found = await traced(deployment, "1475660224_1.jpg")
    (letter,) = found["events"]["dead_letters"]
    assert {name: letter[name] for name in ("queue", "id", "type", "reason", "attempts")} == {
        "queue": "resizer.live",
        "id": "1",
        "type": "ImageUploaded",
        "reason": "away",
        "attempts": 6,
    }
    assert found["events"]["queues"][0] == {"queue": "resizer.live", "waiting": 0, "retried": 1}
    (pending,) = found["pending"]
    assert pending["kind"] == "dead-letter"
    assert "python -m publisher dead-letters replay --key 1475660224_1.jpg has it handled" in pending["next"]
    again = await traced(deployment, "1475660224_1.jpg")
    assert again == found, "it is still there"


async def test_what_ran_out_of_retries_is_replayed_where_its_dead_letter_is_there(deployment: Deployment) -> None:
    await all_queues(deployment)
    await put_dead(broker_of(deployment), 1)
    gave_up = Record(configuration="other", failed=Failure(fault="gave-up", reason="away"))
    for number in (1, 2, 3):
        bucket = deployment.buckets.active if number == 3 else deployment.buckets.incoming
        await bucket.put(f"1475660224_{number}.jpg", PHOTO)
        await bucket.put(f"1475660224_{number}.json", encode_record(gave_up))
    said = []
    for number in (1, 2, 3):
        found = await traced(deployment, f"1475660224_{number}.jpg")
        assert (found["state"], kinds(found)[0]) == ("failed", "failed")
        said.append(found["pending"][0]["next"])
    assert said == [
        "remove the cause, then: python -m publisher dead-letters replay --key 1475660224_1.jpg",
        "nothing renders it again; the photo has to be uploaded anew",
        "nothing renders it again by itself; python -m resizer resize --missing --force --key 1475660224_3.jpg does",
    ]


async def test_without_the_broker_the_buckets_are_told_all_the_same(deployment: Deployment) -> None:
    await deployment.buckets.incoming.put("1475660224_1.jpg", PHOTO)
    away = f"amqp://guest:guest@127.0.0.1:{free_port()}/"
    before = sorted(deployment.folder.rglob("*"))
    found = await traced(deployment, "1475660224_1.jpg", RABBITMQ_URL=away)
    assert sorted(deployment.folder.rglob("*")) == before, "no folder is made either"
    assert (found["state"], found["events"]["queues"]) == ("processing", [])
    (unknown,) = found["events"]["unknown"]
    assert "is a dead letter: cannot use the broker at 127.0.0.1" in unknown


async def test_the_embedded_default(tmp_path: Path) -> None:
    async with Deployment.prepared("embedded", tmp_path) as deployment:
        await deployment.start()
        name = await deployment.uploaded(PHOTO)
        await deployment.wait_for(deployment.buckets.incoming, f"{name[:-4]}.json")
        found = await traced(deployment, name)
        assert (found["state"], kinds(found)) == ("ready", ["activation"])
        assert "in the memory of the process that serves" in found["events"]["unknown"][0]
        body = json.dumps({"id": "7", "type": "ImageUploaded", "subject": name})
        letter = {"queue": "resizer.live", "body": body, "reason": "away", "attempts": 6}
        letter |= dict.fromkeys(("first_failure", "last_failure"), "2026-01-02T03:04:05+00:00")
        await deployment.buckets.incoming.put("dead-letters/resizer.live.7.0", json.dumps(letter).encode())
        text = await told(deployment, name)
        assert "resizer.live: ImageUploaded 7, after 6 attempts, at 2026-01-02T03:04:05+00:00: away" in text
        assert f"python -m standalone dead-letters replay --key {name}" in text


async def test_where_no_service_has_made_the_folders_none_is_made(tmp_path: Path) -> None:
    async with Deployment.prepared("rabbit-local", tmp_path, INCOMING_FOLDER=str(tmp_path / "missing")) as deployment:
        ended = await run(deployment, "publisher", "trace", "1475660224_1.jpg")
        assert (ended.status, ended.output) == (2, "")
        assert "there is no such folder" in ended.errors
        assert not (tmp_path / "missing").exists()
