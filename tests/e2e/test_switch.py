"""A site switches from an old backend to this one on the same buckets, and back: each reads what the other wrote."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.deployment import SECRET, Deployment, keys
from tests.support.pictures import SVG, dimensions, photo, transparent_png

from common.storage.base import Buckets, Storage

# What an existing deployment passes besides its buckets and its secret.
OLD_SETTINGS = {
    "ROUTE_PREFIX": "",
    "RESIZING_CONFIG": '[{"suffix": "BI", "convert": ["-resize", "1500x1500>", "-quality", "90"]},'
    ' {"suffix": "SI", "convert": ["-resize", "200x200^", "-gravity", "center", "-extent", "200x200"]}]',
    "PREFER_IDENTIFY_OVER_FILE": "1",
    "THUMBNAILS_PUBLISH_DELAY": "20",
    "BUCKET_DATABASE_URL": "",
    "V5_DATABASE_URL": "",
}
SIZES = {"BI": (300, 200), "SI": (200, 200)}  # of a photo of 300 × 200 pixels


@pytest.fixture(params=["embedded", "embedded-s3", "rabbit-local"])
async def deployment(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Deployment]:
    async with Deployment.prepared(request.param, tmp_path, UPLOAD_WAIT="50", **OLD_SETTINGS) as prepared:
        yield prepared


def old_keys(name: str) -> dict[str, tuple[int, int]]:
    """The keys that an old backend knows of an image, but for the original; and how large each picture is."""
    stem, _, ending = name.rpartition(".")
    return {f"{stem}{suffix}.{'jpg' if ending == 'svg' else ending}": size for suffix, size in SIZES.items()}


async def old_upload(buckets: Buckets, name: str, data: bytes) -> None:
    """An old backend renders while the client waits, and writes no more than this."""
    await buckets.incoming.put(name, data)
    for key, size in old_keys(name).items():
        await buckets.incoming.put(key, photo(*size) if "PNG" not in key else transparent_png(*size))


async def old_publish(buckets: Buckets, name: str) -> None:
    """An old backend moves the keys that it knows. Raises NoSuchKey when one of them is not there."""
    for key in (name, *old_keys(name)):
        await buckets.active.copy_from(buckets.incoming, key)
        await buckets.incoming.delete(key)


async def assert_old_readers_find(bucket: Storage, name: str, original: bytes | None = None) -> None:
    """The original and every configured variant, under the old names."""
    found = await bucket.get(name)
    assert original in (None, found)
    assert {key: dimensions(await bucket.get(key)) for key in old_keys(name)} == old_keys(name)


async def command(deployment: Deployment, path: str, **fields: object) -> str:
    """A call of the API server that succeeds. Returns the new name, if there is one."""
    async with deployment.http.post(
        f"{deployment.url('publisher')}{path}", json={"secret": SECRET, **fields}
    ) as answer:
        body = await answer.json()
        assert (answer.status, body["success"]) == (200, True), body
        name: str = body.get("filename", "")
        return name


async def stop(deployment: Deployment) -> None:
    for name in reversed(deployment.services):
        assert await deployment.processes[name].terminate() == 0


async def test_there_and_back_every_image_is_found(deployment: Deployment) -> None:
    buckets, picture = deployment.buckets, photo(300, 200)
    public = {"1475660224_7.jpg": picture, "1475660224_71.JPG": picture, "1475660224_3.PNG": transparent_png(300, 200)}
    waiting = {"1475660225_0123456789.jpg": picture, "1475660225_0123456780.jpg": picture}
    for name, data in (public | waiting).items():
        await old_upload(buckets, name, data)
    for name in public:
        await old_publish(buckets, name)
    kept, rotated, deleted = public
    published, left = waiting

    await deployment.start()
    assert await deployment.public(kept) == (200, picture)
    for key, size in old_keys(kept).items():
        status, body = await deployment.public(key)
        # Not compared with the object: a start renders young images without a record anew, perhaps right now.
        assert (status, dimensions(body)) == (200, size)
    assert (await deployment.publish(published))[0] == 200
    turned = await command(deployment, "/rotate", filename=rotated, rotation=180)
    await command(deployment, "/delete", filenames=deleted)
    new, drawing, unpublished = [await deployment.uploaded(data) for data in (picture, SVG, picture)]
    assert (await deployment.publish(new))[0] == 200
    assert (await deployment.publish(drawing))[0] == 200
    await stop(deployment)

    await assert_old_readers_find(buckets.active, kept, picture)
    await assert_old_readers_find(buckets.active, published, picture)
    await assert_old_readers_find(buckets.active, turned)
    await assert_old_readers_find(buckets.active, new, picture)
    await assert_old_readers_find(buckets.incoming, left, picture)
    await assert_old_readers_find(buckets.incoming, unpublished, picture)
    assert await buckets.active.get(drawing) == SVG
    assert set(old_keys(drawing)) <= await keys(buckets.active)
    gone = {rotated, *old_keys(rotated), deleted, *old_keys(deleted)}
    assert not gone & await keys(buckets.active)
    for name in (left, unpublished):
        await old_publish(buckets, name)
        await assert_old_readers_find(buckets.active, name, picture)

    await deployment.start()
    assert (await deployment.public(unpublished)) == (200, picture)
    await command(deployment, "/delete", filenames=[left, unpublished])
    assert not {left, unpublished} & await keys(buckets.active)
