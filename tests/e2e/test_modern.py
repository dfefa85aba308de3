"""WebP and AVIF, made after the base variants, and lanes that keep out of each other's way."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.deployment import KINDS, Deployment, keys
from tests.support.eventually import eventually
from tests.support.pictures import SVG, animated_gif, dimensions, photo, png_header, transparent_png

from common.images.names import ImageKey
from common.messaging.events import Event, ImageUploaded, Lane, LaneData
from common.messaging.rabbit import RabbitBus
from common.messaging.topology import RESIZER_BULK
from common.storage.base import Storage

BOTH = {"GENERATE_WEBP": "yes", "GENERATE_AVIF": "yes"}


@pytest.fixture(params=KINDS)
async def deployment(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Deployment]:
    async with Deployment.prepared(request.param, tmp_path, **BOTH) as prepared:
        await prepared.start()
        yield prepared


def everything(name: str, base: str) -> set[str]:
    """All keys of an image whose every version has been made."""
    stem = name[:-4]
    versions = {f"{stem}{suffix}.{ending}" for suffix in ("BI", "MI", "SI") for ending in (base, "webp", "avif")}
    return versions | {name, f"{stem}.json", f"{stem}.modern.json"}


async def holds(bucket: Storage, expected: set[str]) -> None:
    async def same() -> bool:
        return await keys(bucket) == expected

    await eventually(same, "all that was to be made")


async def test_every_format_gets_both_wherever_activation_falls(deployment: Deployment) -> None:
    incoming, active = deployment.buckets.incoming, deployment.buckets.active
    expected: set[str] = set()
    late = await deployment.uploaded(photo(1200, 900))
    expected |= everything(late, "jpg")
    await holds(incoming, expected)  # this one is published when all of it is there, the others as soon as can be
    for data, base in ((transparent_png(), "png"), (animated_gif(), "gif"), (SVG, "jpg"), (photo(900, 1200), "jpg")):
        name = await deployment.uploaded(data)
        expected |= everything(name, base)
        assert (await deployment.publish(name))[0] == 200
    assert (await deployment.publish(late))[0] == 200
    await holds(active, expected)
    await holds(incoming, set())

    base = json.loads(await active.get(f"{late[:-4]}.json"))
    modern = json.loads(await active.get(f"{late[:-4]}.modern.json"))
    assert {variant["format"] for variant in base["variants"]} == {"jpg"}
    assert [(variant["key"], variant["format"]) for variant in modern["variants"][:2]] == [
        (f"{late[:-4]}BI.webp", "webp"),
        (f"{late[:-4]}BI.avif", "avif"),
    ]
    assert (modern["stage"], modern["original"]) == ("modern", base["original"])
    for variant in modern["variants"]:
        status, data = await deployment.public(variant["key"])
        assert status == 200
        assert (len(data), dimensions(data)) == (variant["bytes"], (variant["width"], variant["height"]))


async def test_a_browser_is_told_what_they_are(deployment: Deployment) -> None:
    name = await deployment.uploaded(photo(600, 400))
    assert (await deployment.publish(name))[0] == 200
    for ending, kind in (("webp", "image/webp"), ("avif", "image/avif")):
        key = f"{name[:-4]}MI.{ending}"
        await deployment.wait_for(deployment.buckets.active, key)
        async with deployment.http.get(deployment.public_url(key)) as answer:
            assert answer.headers["Content-Type"] == kind


async def test_an_image_that_failed_has_no_second_failure(deployment: Deployment) -> None:
    name = await deployment.uploaded(png_header(500, 400))
    await deployment.wait_for(deployment.buckets.incoming, f"{name[:-4]}.json")
    assert "failed" in json.loads(await deployment.buckets.incoming.get(f"{name[:-4]}.json"))
    good = await deployment.uploaded(photo(600, 400))
    await deployment.wait_for(deployment.buckets.incoming, f"{good[:-4]}.modern.json")
    assert await keys(deployment.buckets.incoming) == {name, f"{name[:-4]}.json", *everything(good, "jpg")}


async def test_an_upload_does_not_wait_for_the_bulk(tmp_path: Path) -> None:
    async with Deployment.prepared("rabbit-local", tmp_path, RESIZER_WORKERS="1", GENERATE_WEBP="1") as deployment:
        await deployment.start()
        assert deployment.vhost is not None
        active = deployment.buckets.active
        old = [ImageKey.parse(f"1475660224_{number}.jpg") for number in range(10)]
        bus = RabbitBus(deployment.vhost.url, "test")
        bus.start()
        await eventually(lambda: _connected(bus), "a connection")
        resizer = deployment.processes["resizer"]
        resizer.suspend()  # so that the upload is there before much of the bulk is done, however slow its sender is
        for image in old:
            await active.put(str(image), photo(1200, 900))
            event: Event = ImageUploaded(source="/test", subject=image, data=LaneData(lane=Lane.BULK))
            await bus.publish(event)
        name = await deployment.uploaded(photo(600, 400))
        resizer.resume()
        await deployment.wait_for(deployment.buckets.incoming, f"{name[:-4]}.modern.json")
        assert await bus.depth(RESIZER_BULK), "an upload and its modern formats are there before the bulk is"
        for image in old:
            await eventually(lambda image=image: active.stat(f"{image.name}.modern.json"), f"{image}")  # type: ignore[misc]
        await bus.close()


async def _connected(bus: RabbitBus) -> bool:
    return bus.trouble() is None
