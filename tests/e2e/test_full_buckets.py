"""The disk of a bucket is full: what was answered 200 is whole, and the rest is done when there is room."""

from contextlib import suppress
from pathlib import Path

import pytest
from tests.support.commands import DAY, age, run
from tests.support.deployment import Deployment, complete, keys
from tests.support.eventually import eventually
from tests.support.pictures import photo
from tests.support.small_disk import leave_no_room, resize, small_disk

from common.images.names import is_original

PHOTO = photo(640, 480)
KILOBYTES = 10 * len(PHOTO) // 1000


async def test_uploads_until_incoming_is_full(tmp_path: Path) -> None:
    filler = tmp_path / "incoming" / "filler"
    with small_disk(tmp_path / "incoming", KILOBYTES):
        async with Deployment.prepared("rabbit-local", tmp_path) as deployment:
            filler.write_bytes(bytes(5 * len(PHOTO)))
            await deployment.start()
            stored: list[str] = []
            for _ in range(20):
                status, body = await deployment.upload(PHOTO)
                assert status in (200, 503), body
                if status == 503:
                    assert "no room left" in body["error"]
                    break
                stored.append(body["filename"])
            else:
                raise AssertionError("it never was full")
            for name in stored:
                assert await deployment.buckets.incoming.get(name) == PHOTO
            originals = {key for key in await keys(deployment.buckets.incoming) if is_original(key)}
            assert originals == set(stored)
            filler.unlink()
            for name in stored:
                assert (await deployment.publish(name))[0] == 200
                await eventually(lambda name=name: complete(deployment, name), name)  # type: ignore[misc]
            assert (await deployment.upload(PHOTO))[0] == 200
            await deployment.nothing_temporary()


async def test_an_activation_while_active_is_full(tmp_path: Path) -> None:
    with small_disk(tmp_path / "active", KILOBYTES):
        async with Deployment.prepared("rabbit-local", tmp_path) as deployment:
            await deployment.start()
            name = await deployment.uploaded(PHOTO)
            await deployment.wait_for(deployment.buckets.incoming, f"{name[:-4]}.json")
            leave_no_room(tmp_path / "active")
            status, body = await deployment.publish(name)
            assert status == 503, body
            assert "no room left" in body["error"]
            assert await deployment.buckets.incoming.get(name) == PHOTO
            resize(tmp_path / "active", KILOBYTES)
            assert (await deployment.publish(name))[0] == 200
            await eventually(lambda: complete(deployment, name), "all of the image, public")
            assert await deployment.buckets.active.get(name) == PHOTO


@pytest.mark.parametrize("command", [(), ("clean",)], ids=["sweep", "clean"])
async def test_expired_uploads_are_removed_from_a_full_disk(tmp_path: Path, command: tuple[str, ...]) -> None:
    folder = tmp_path / "incoming"
    with small_disk(folder, KILOBYTES):
        async with Deployment.prepared("rabbit-local", tmp_path) as deployment:
            for name in ("1475660224_1.jpg", "1475660224_2.jpg"):
                await deployment.buckets.incoming.put(name, PHOTO)
            age(deployment, 3 * DAY, "incoming/1475660224_1.jpg")
            fill(folder)
            if command:
                assert (await run(deployment, "publisher", *command)).status == 0
            else:
                await deployment.start("publisher")

            async def is_swept() -> bool:
                return "1475660224_1.jpg" not in await keys(deployment.buckets.incoming)

            await eventually(is_swept, "the end of the expired upload")
            assert "1475660224_2.jpg" in await keys(deployment.buckets.incoming)


def fill(folder: Path) -> None:
    """Leave no room for another byte."""
    leave_no_room(folder)
    with suppress(OSError), (folder / "filler").open("wb", buffering=0) as filler:
        while filler.write(bytes(1024)):
            pass
