"""Calls that meet on one image, many times over: what is left is what one order of them explains."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.support.deployment import APART, KINDS, SECRET, Deployment, keys
from tests.support.eventually import eventually
from tests.support.exploration import seeds, some
from tests.support.pictures import opened, photo

from common.images.names import ImageKey
from common.messaging.events import ThumbnailsRequested
from common.messaging.rabbit import RabbitBus

_ROUNDS = len(seeds(2, 12))
_LONG = 180.0  # seconds; the machine may be busy


async def call(deployment: Deployment, path: str, **fields: object) -> tuple[int, str]:
    """Status, and the new name where there is one. Repeated, as clients do, while it is not possible just now."""
    body = {"secret": SECRET, **fields}

    async def answered() -> tuple[int, str] | None:
        async with deployment.http.post(f"{deployment.url('publisher')}{path}", json=body) as answer:
            return None if answer.status == 503 else (answer.status, (await answer.json()).get("filename", ""))

    found = await eventually(answered, f"an answer to {path}", _LONG)
    assert found is not None
    return found


def all_of(name: str) -> set[str]:
    stem = name[:-4]
    return {name, f"{stem}.json", *(f"{stem}{suffix}.jpg" for suffix in ("BI", "MI", "SI"))}


async def quiet(deployment: Deployment, expected: set[str]) -> None:
    """Wait until *active* holds this, and *incoming* nothing but tombstones, and it stays so."""

    async def same() -> bool:
        found = await keys(deployment.buckets.active)
        return found == expected and await keys(deployment.buckets.incoming) == set()

    await _stays(same, f"exactly {sorted(expected)}")


async def _stays(look: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait until it is true, and still is later: whoever was late may write, and take back what it wrote."""

    async def twice() -> bool:
        if not await look():
            return False
        await asyncio.sleep(0.5)
        return await look()

    await eventually(twice, what, _LONG)


async def publish_and_delete(deployment: Deployment) -> None:
    for _ in range(_ROUNDS):
        name = await deployment.uploaded(photo(900, 600))
        published, again, deleted = await asyncio.gather(
            deployment.publish(name), deployment.publish(name), call(deployment, "/delete", filenames=name)
        )
        assert {published[0], again[0]} <= {200, 404}
        assert deleted[0] == 200
        await quiet(deployment, set())
        assert (await deployment.publish(name))[0] == 404


async def two_rotations(deployment: Deployment) -> None:
    left = await keys(deployment.buckets.active)
    for _ in range(_ROUNDS):
        name = await deployment.uploaded(photo(900, 600))
        await deployment.publish(name)
        found = await asyncio.gather(*(call(deployment, "/rotate", filename=name, rotation=90) for _ in range(2)))
        assert {status for status, _ in found} <= {200, 404}
        new = {made for status, made in found if status == 200}
        assert new, "one of them at least"
        left |= {key for made in new for key in all_of(made)}
        await quiet(deployment, left)


async def rotate_and_delete(deployment: Deployment) -> None:
    for _ in range(_ROUNDS):
        name = await deployment.uploaded(photo(900, 600))
        await deployment.publish(name)
        (status, new), deleted = await asyncio.gather(
            call(deployment, "/rotate", filename=name), call(deployment, "/delete", filenames=name)
        )
        assert (status in (200, 404), deleted[0]) == (True, 200)
        await quiet(deployment, all_of(new) if status == 200 else set())
        if new:
            assert (await call(deployment, "/delete", filenames=new))[0] == 200


async def two_crops_and_a_render_at_once(deployment: Deployment) -> None:
    """The versions that are left show the crop that is left, whichever of the two that is."""
    for _ in range(_ROUNDS):
        name = await deployment.uploaded(photo(1200, 900))
        crops = "300x225+0+0", "200x150+800+600"
        image = ImageKey.parse(name)
        rendering = asyncio.create_task(_regenerate(deployment, image))
        found = await asyncio.gather(*(call(deployment, "/publish", filename=name, crop=crop) for crop in crops))
        await rendering
        assert [status for status, _ in found] == [200, 200]
        await quiet(deployment, all_of(name) | {image.crop_key})
        crop = (await deployment.buckets.active.get(image.crop_key)).decode()

        async def shown(crop: str = crop, image: ImageKey = image) -> bool:
            made = opened(await deployment.buckets.active.get(image.variant_key("BI")))
            return f"{made.width}x{made.height}" == crop.split("+", maxsplit=1)[0]

        await _stays(shown, f"versions that show {crop}")
        assert (await call(deployment, "/delete", filenames=name))[0] == 200


async def _regenerate(deployment: Deployment, image: ImageKey) -> None:
    if deployment.vhost is None:
        return
    bus = RabbitBus(deployment.vhost.url, "test")
    bus.start()
    try:

        async def wait_for_broker() -> bool:
            return bus.trouble() is None

        await eventually(wait_for_broker, "a connection")
        for _ in range(3):
            await bus.publish(ThumbnailsRequested(source="/test", subject=image))
    finally:
        await bus.close()


async def recrop_and_a_render_at_once(deployment: Deployment) -> None:
    """The copy shows its part, and the old image all of itself."""
    left = await keys(deployment.buckets.active)
    name = await deployment.uploaded(photo(1200, 900))
    assert (await deployment.publish(name))[0] == 200
    await deployment.wait_for(deployment.buckets.active, f"{name[:-4]}.json")
    left |= all_of(name)
    for _ in range(_ROUNDS):
        rendering = asyncio.create_task(_regenerate(deployment, ImageKey.parse(name)))
        status, new = await call(deployment, "/recrop", filename=name, crop="300x225+0+0")
        await rendering
        assert status == 200
        left |= all_of(new) | {ImageKey.parse(new).crop_key}
        for key, size in ((new, (300, 225)), (name, (1200, 900))):
            made = opened(await deployment.buckets.active.get(ImageKey.parse(key).variant_key("BI")))
            assert (made.width, made.height) == size
    await quiet(deployment, left)


@pytest.mark.explores
@pytest.mark.timeout(some(3000, 600))
@pytest.mark.parametrize("kind", [*KINDS, APART])
async def test_what_is_left_of_calls_that_meet(kind: str, tmp_path: Path) -> None:
    async with Deployment.prepared(kind, tmp_path, EDIT_WAIT=f"{_LONG}") as deployment:
        await deployment.start()
        await publish_and_delete(deployment)
        await rotate_and_delete(deployment)
        await two_crops_and_a_render_at_once(deployment)
        await quiet(deployment, set())
        await two_rotations(deployment)
        await recrop_and_a_render_at_once(deployment)
