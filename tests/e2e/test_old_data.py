"""Images that the old backends left: short names, upper-case extensions, no records."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.deployment import KINDS, SECRET, Deployment, keys
from tests.support.eventually import eventually
from tests.support.pictures import dimensions, photo, transparent_png
from tests.support.repaired import start_and_repair

from common.storage.base import Storage


@pytest.fixture(params=KINDS)
async def deployment(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Deployment]:
    async with Deployment.prepared(request.param, tmp_path, CLEAN_INTERVAL="0.5") as prepared:
        await start_and_repair(prepared)
        yield prepared


async def old_image(bucket: Storage, name: str, data: bytes, *suffixes: str) -> None:
    """As an old backend wrote it."""
    stem, _, ending = name.rpartition(".")
    await bucket.put(name, data)
    for suffix in suffixes:
        await bucket.put(f"{stem}{suffix}.{ending}", data)


async def command(deployment: Deployment, path: str, **fields: object) -> tuple[int, str]:
    body = {"secret": SECRET, **fields}
    async with deployment.http.post(f"{deployment.url('publisher')}{path}", json=body) as answer:
        return answer.status, (await answer.json()).get("filename", "")


async def test_they_are_activated_with_what_they_have(deployment: Deployment) -> None:
    incoming, active = deployment.buckets.incoming, deployment.buckets.active
    await old_image(incoming, "1475660224_7.jpg", photo(300, 200), "BI", "MI", "SI")
    await old_image(incoming, "1475660224_71.JPG", photo(300, 200), "BI", "MI", "SI")
    for name in ("1475660224_7.jpg", "1475660224_71.JPG"):
        assert (await deployment.publish(name))[0] == 200
        stem, _, ending = name.rpartition(".")
        for suffix in ("", "BI", "MI", "SI"):
            assert await active.stat(f"{stem}{suffix}.{ending}") is not None
        assert (await deployment.public(name))[0] == 200
    assert await keys(incoming) == set()


async def test_they_are_rotated_cropped_and_deleted(deployment: Deployment) -> None:
    active = deployment.buckets.active
    await old_image(active, "1475660224_12.PNG", transparent_png(300, 200), "BI", "MI", "SI", "OLD")
    await old_image(active, "1475660224_123.PNG", transparent_png(300, 200), "BI")
    status, cropped = await command(deployment, "/recrop", filename="1475660224_12.PNG", crop="100x50+0+0")
    assert status == 200
    assert dimensions(await active.get(f"{cropped[:-4]}BI.png")) == (100, 50)
    status, new = await command(deployment, "/rotate", filename="1475660224_12.PNG", rotation=90)
    assert status == 200
    assert dimensions(await active.get(new)) == (200, 300)

    async def left() -> set[str]:
        return {key for key in await keys(active) if not key.startswith((cropped[:-4], new[:-4]))}

    other = {"1475660224_123.PNG", "1475660224_123BI.PNG"}
    assert await left() - {"1475660224_12OLD.PNG"} == other, "what is known by name is gone at once"

    async def swept() -> bool:
        return await left() == other

    await eventually(swept, "a sweep that finds a version of a size that nothing tells of")
    assert (await command(deployment, "/delete", filenames="1475660224_123.PNG"))[0] == 200
    assert not [key for key in await keys(active) if key.startswith("1475660224_123")]


async def test_cropping_one_makes_what_it_never_had(deployment: Deployment) -> None:
    active = deployment.buckets.active
    await old_image(active, "1475660224_5.JPG", photo(1200, 900))
    assert (await command(deployment, "/publish", filename="1475660224_5.JPG", crop="600x450+0+0"))[0] == 200

    async def cropped() -> bool:
        # A start renders young images without a record, perhaps before this one has its crop.
        return await active.stat("1475660224_5.json") is not None and b"600x450+0+0" in await active.get(
            "1475660224_5.json"
        )

    await eventually(cropped, "a record of the crop")
    assert dimensions(await active.get("1475660224_5BI.JPG")) == (600, 450)
    async with deployment.http.get(deployment.public_url("1475660224_5MI.JPG")) as answer:
        assert (answer.status, answer.headers["Content-Type"]) == (200, "image/jpeg")
