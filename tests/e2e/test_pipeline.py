"""From an upload to a public image, on every kind of deployment, with the services as processes of their own."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from tests.support.deployment import KINDS, Deployment, curl_upload, keys
from tests.support.eventually import eventually
from tests.support.pictures import DELAYS, SVG, animated_gif, dimensions, opened, photo, png_header, transparent_png


@pytest.fixture(params=KINDS)
async def deployment(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Deployment]:
    async with Deployment.prepared(request.param, tmp_path) as prepared:
        await prepared.start()
        yield prepared


PICTURES: dict[str, tuple[Callable[[], bytes], dict[str, tuple[int, int]]]] = {
    "camera.jpg": (photo, {"BI.jpg": (1500, 1125), "MI.jpg": (400, 300), "SI.jpg": (200, 200)}),
    "logo.png": (transparent_png, {"BI.png": (900, 600), "MI.png": (400, 267), "SI.png": (200, 200)}),
    "cat.gif": (animated_gif, {"BI.gif": (600, 450), "MI.gif": (400, 300), "SI.gif": (200, 200)}),
    "map.svg": (lambda: SVG, {"BI.jpg": (640, 480), "MI.jpg": (400, 300), "SI.jpg": (200, 200)}),
}


async def test_pictures_of_every_format_from_upload_to_the_public(deployment: Deployment, tmp_path: Path) -> None:
    incoming, active = deployment.buckets.incoming, deployment.buckets.active
    names: dict[str, str] = {}
    for file, (make, _) in PICTURES.items():
        (tmp_path / file).write_bytes(make())
        names[file] = await asyncio.to_thread(curl_upload, deployment.url("ingest"), tmp_path / file)
        assert names[file].endswith(file[-4:])

    expected: set[str] = set()
    for file, (make, variants) in PICTURES.items():
        data = make()
        name = names[file][:-4]
        await deployment.wait_for(incoming, f"{name}.json")
        record = json.loads(await incoming.get(f"{name}.json"))
        assert record["original"]["key"] == names[file]
        assert record["original"]["bytes"] == len(data)
        assert (record["original"]["width"], record["original"]["height"]) == dimensions(data)
        described = {v["key"]: (v["width"], v["height"], v["bytes"]) for v in record["variants"]}
        for suffix, size in variants.items():
            thumbnail = await incoming.get(name + suffix)
            assert dimensions(thumbnail) == size
            assert described.pop(name + suffix) == (*size, len(thumbnail))
        assert described == {}
        assert record["thumbhash"]
        assert record["colour"].startswith("#")
        expected |= {names[file], f"{name}.json", *(name + suffix for suffix in variants)}
    assert await keys(incoming) == expected

    for file in PICTURES:
        assert await deployment.publish(names[file]) == (200, {"success": True})
    assert await keys(active) == expected
    assert await keys(incoming) == set()
    for file, (make, _) in PICTURES.items():
        assert await deployment.public(names[file]) == (200, make())
    await deployment.nothing_temporary()


async def test_thumbnails_look_like_their_originals(deployment: Deployment) -> None:
    png, gif = await deployment.uploaded(transparent_png()), await deployment.uploaded(animated_gif())
    svg, turned = await deployment.uploaded(SVG), await deployment.uploaded(photo(1200, 800, 6))
    for name in (png, gif, svg, turned):
        await deployment.wait_for(deployment.buckets.incoming, f"{name[:-4]}.json")
        assert (await deployment.publish(name))[0] == 200

    _, data = await deployment.public(f"{png[:-4]}MI.png")
    assert opened(data).getpoint(1, 1)[3] == 0, "the corner stays transparent"
    assert opened(data).getpoint(200, 133)[3] == 255

    _, data = await deployment.public(f"{gif[:-4]}SI.gif")
    frames = opened(data)
    assert frames.get("delay") == DELAYS
    assert frames.get("loop") == 0
    assert frames.get("n-pages") == 4
    tops = [frames.getpoint(100, 100 + 200 * frame)[:3] for frame in range(4)]
    assert [top.index(max(top)) for top in tops[:3]] == [0, 1, 2], "red, green, blue, each on a frame of its own"

    _, data = await deployment.public(f"{svg[:-4]}MI.jpg")
    assert min(opened(data).getpoint(1, 1)) > 250, "an SVG is drawn on white"
    assert opened(data).getpoint(200, 150)[0] > 150

    _, data = await deployment.public(f"{turned[:-4]}MI.jpg")
    assert dimensions(data) == (267, 400), "as a viewer shows it"
    red = opened(data).getpoint(260, 5)[0]
    assert red > 200, "the corner that was top left is top right now"


async def test_uploads_that_are_refused_leave_nothing(deployment: Deployment) -> None:
    whole = photo(300, 200)
    for data, status, words in (
        (b"This is no image, whatever its name says.", 400, "not a JPEG, PNG, GIF or SVG"),
        (whole[:60], 400, "refused"),
        (transparent_png()[:20], 400, "refused"),
        (b"", 400, "empty"),
        (png_header(100_001, 100_001), 413, "100,001 × 100,001 pixels"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' width='5'", 400, "refused"),
    ):
        answer = await deployment.upload(data)
        assert answer[0] == status, answer
        assert words in answer[1]["error"]
    async with deployment.http.post(f"{deployment.url('ingest')}/upload", data={"text": "x"}) as response:
        assert response.status == 400
    async with deployment.http.get(f"{deployment.url('ingest')}/upload") as response:
        assert response.status == 405
    assert await keys(deployment.buckets.incoming) == set()
    await deployment.nothing_temporary()


async def test_publishing_what_cannot_be_published(deployment: Deployment) -> None:
    name = await deployment.uploaded(photo(300, 200))
    await deployment.wait_for(deployment.buckets.incoming, f"{name[:-4]}.json")
    for filename, secret, status in (
        (name, "", 401),
        (name, "wrong", 403),
        ("../../etc/passwd", "wrong", 403),
        ("../../etc/passwd", None, 400),
        ([name, name], None, 400),
        (None, None, 400),
        ("1475660224_0882910455.jpg", None, 404),
    ):
        answer = await deployment.publish(filename, **({} if secret is None else {"secret": secret}))
        assert answer[0] == status, answer
        assert answer[1]["error"]
    assert await keys(deployment.buckets.active) == set()


async def test_publishing_twice_and_at_once(deployment: Deployment) -> None:
    name = await deployment.uploaded(photo(1600, 1200))
    answers = await asyncio.gather(*(deployment.publish(name) for _ in range(4)))
    assert [status for status, _ in answers] == [200] * 4
    await deployment.wait_for(deployment.buckets.active, f"{name[:-4]}.json")
    assert (await deployment.publish(name))[0] == 200
    assert len(await keys(deployment.buckets.active)) == 5
    await eventually(lambda: _empty(deployment), "an empty incoming bucket")


async def _empty(deployment: Deployment) -> bool:
    return await keys(deployment.buckets.incoming) == set()


async def test_an_image_that_cannot_be_shown_is_recorded_and_not_published(deployment: Deployment) -> None:
    # Its header is in order, and there is not one pixel behind it.
    name = await deployment.uploaded(png_header(500, 400))
    await deployment.wait_for(deployment.buckets.incoming, f"{name[:-4]}.json")
    record = json.loads(await deployment.buckets.incoming.get(f"{name[:-4]}.json"))
    assert record["failed"]["class"] == "broken"
    assert record["failed"]["reason"]
    status, body = await deployment.publish(name)
    assert status == 422
    assert record["failed"]["reason"] in body["error"]
    assert await keys(deployment.buckets.active) == set()


async def test_a_photo_that_is_cut_off_is_shown_as_far_as_it_goes(deployment: Deployment) -> None:
    whole = photo(1600, 1200)
    name = await deployment.uploaded(whole[: len(whole) // 2])
    await deployment.wait_for(deployment.buckets.incoming, f"{name[:-4]}.json")
    record = json.loads(await deployment.buckets.incoming.get(f"{name[:-4]}.json"))
    assert record["damaged"] is True
    assert (await deployment.publish(name))[0] == 200
    _, data = await deployment.public(f"{name[:-4]}MI.jpg")
    assert opened(data).getpoint(5, 5)[0] > 200


async def test_a_record_that_nobody_can_read_is_made_anew(deployment: Deployment) -> None:
    name = await deployment.uploaded(photo(300, 200))
    await deployment.wait_for(deployment.buckets.incoming, f"{name[:-4]}.json")
    await deployment.buckets.incoming.put(f"{name[:-4]}.json", b'{"version": 7, "nothing": "known"}')
    assert (await deployment.publish(name))[0] == 200
    assert name in await keys(deployment.buckets.active)
