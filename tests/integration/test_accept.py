"""What ingest promises for originals that it changes before it stores them."""

import asyncio
from pathlib import Path

import pytest
from tests.support.exiftool import locations, tags
from tests.support.located import located
from tests.support.memory import MemoryStorage
from tests.support.pictures import animated_gif, dimensions, opened, photo, transparent_png

from common.messaging.embedded import EmbeddedBus
from common.messaging.outbox import Outbox
from common.messaging.topology import RESIZER_LIVE
from common.sandbox.pool import Pool
from common.sandbox.protocol import Limits
from ingest.accept import UploadContext, accept_upload


async def test_an_original_that_takes_too_much_to_turn_is_stored_as_it_is(tmp_path: Path) -> None:
    incoming, bus = MemoryStorage(), EmbeddedBus()
    sideways = photo(3000, 2000, 6)
    (tmp_path / "upload").write_bytes(sideways)
    async with Pool.open(1, Limits()) as pool, Pool.open(1, Limits(wall_seconds=0.01)) as turning:
        uploads = UploadContext(incoming=incoming, outbox=Outbox(bus), pool=pool, orient_pool=turning)
        key = await accept_upload(tmp_path / "upload", context=uploads)
    assert incoming.objects == {str(key): sideways}
    assert await bus.depth(RESIZER_LIVE) == 1


@pytest.mark.parametrize("turning", [True, False])
@pytest.mark.parametrize("picture", ["jpg", "png", "gif"])
async def test_an_original_is_stored_without_its_location(picture: str, turning: bool, tmp_path: Path) -> None:  # noqa: FBT001
    plain = {"jpg": photo(322, 201), "png": transparent_png(322, 201), "gif": animated_gif(322, 201)}[picture]
    incoming, sent = MemoryStorage(), located(plain, orientation=6)
    (tmp_path / "upload").write_bytes(sent)
    async with Pool.open(1, Limits()) as pool:
        uploads = UploadContext(
            incoming=incoming,
            outbox=Outbox(EmbeddedBus()),
            pool=pool,
            orient_pool=pool if turning else None,
            strip_location=True,
        )
        key = await accept_upload(tmp_path / "upload", context=uploads)
    stored = incoming.objects[str(key)]
    (left,) = tags(stored)
    assert not locations(left)
    assert left["XMP-dc:Title"] == "Title & <more>", "and all else is there"
    turned = turning and picture != "gif"
    assert dimensions(stored) == ((201, 322) if turned else (322, 201))
    assert turned or opened(stored).write_to_memory() == opened(sent).write_to_memory()
    left_behind = await asyncio.to_thread(lambda: [path.name for path in tmp_path.iterdir()])
    assert left_behind == ["upload"]
