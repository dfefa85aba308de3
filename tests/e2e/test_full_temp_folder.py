"""What clients are told when TEMP_FOLDER is full."""

from pathlib import Path

from tests.support.deployment import SECRET, Deployment, keys
from tests.support.pictures import photo
from tests.support.small_disk import small_disk


async def test_no_room_to_turn_an_original_is_no_defect(tmp_path: Path) -> None:
    sideways = photo(1600, 1200, 6)
    with small_disk(tmp_path / "temp", len(sideways) // 1000 + 100):
        async with Deployment.prepared("embedded", tmp_path, AUTO_ORIENT_ORIGINAL="1") as deployment:
            await deployment.start()
            status, body = await deployment.upload(sideways)
            assert status == 503, body
            assert "no room left" in body["error"]
            assert await keys(deployment.buckets.incoming) == set()
            await deployment.nothing_temporary()


async def test_no_room_to_rotate_an_original_is_no_defect(tmp_path: Path) -> None:
    name = "1475660224_0882910455.jpg"
    with small_disk(tmp_path / "temp", 100):
        async with Deployment.prepared("embedded", tmp_path) as deployment:
            await deployment.buckets.active.put(name, photo(1600, 1200))
            await deployment.start()
            body = {"secret": SECRET, "filename": name, "rotation": 90}
            async with deployment.http.post(f"{deployment.url('publisher')}/rotate", json=body) as answer:
                assert answer.status == 503, await answer.text()
            originals = {key for key in await keys(deployment.buckets.active) if key.endswith("5.jpg")}
            assert originals == {name}
            await deployment.nothing_temporary()
