"""Deletions while the store fails at some objects, or at all: the rest is removed, and what is left is told."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from tests.support.clocked_site import DAY, IMAGE, NAME, PLAN, ClockedSite, FaultyBucket, record_of
from tests.support.commands import put
from tests.support.pictures import photo

from common.errors import StorageFault
from common.images.names import ImageKey, is_original
from common.images.records import Record, Stage, encode_record, record_key
from common.images.sizes import Crop
from common.messaging.events import Event, ImageDeleted
from common.sandbox.pool import Pool
from common.sandbox.protocol import Limits
from publisher.context import EditContext
from publisher.edits import recrop_image, rotate_image


@pytest.mark.parametrize("place", ["incoming", "active"])
@pytest.mark.parametrize("record", [".json", ".modern.json"])
async def test_a_record_that_cannot_be_read_stops_no_removal_and_is_kept_for_the_next_attempt(
    place: str, record: str
) -> None:
    site = ClockedSite()
    bucket: FaultyBucket = getattr(site, place)
    others = [ImageKey(f"1475660224_{number}", "jpg") for number in range(1, 40)]
    for image in (IMAGE, *others):
        await put(bucket, str(image), f"{image.name}BI.jpg", f"{image.name}OLD.jpg")
        await bucket.put(f"{image.name}{record}", record_of(f"{image.name}OLD.jpg"))
    bucket.unreadable = {f"{NAME}{record}"}
    with pytest.raises(StorageFault, match=f"{NAME}{record} cannot be read"):
        await site.delete(IMAGE, *others)
    tombstones = {image.tombstone_key for image in (IMAGE, *others)}
    assert set(bucket.objects) - tombstones == {f"{NAME}{record}", f"{NAME}OLD.jpg"}, "all that is known by name"
    bucket.unreadable = set()
    await site.delete(IMAGE)
    assert set(bucket.objects) - tombstones == set()


async def test_of_several_images_those_with_a_tombstone_are_deleted_and_announced() -> None:
    site = ClockedSite()
    heard: list[Event] = []
    await site.bus.consume((), heard.append)
    others = [ImageKey(f"1475660224_{number}", "jpg") for number in range(1, 40)]
    for image in (IMAGE, *others):
        await put(site.active, str(image), f"{image.name}BI.jpg")
    site.incoming.unwritable = {IMAGE.tombstone_key}
    with pytest.raises(StorageFault, match=f"{IMAGE.tombstone_key} cannot be written"):
        await site.delete(IMAGE, *others)
    await site.publisher_context.outbox.flush()
    assert set(site.active.objects) == {str(IMAGE), f"{NAME}BI.jpg"}
    assert {event.subject for event in heard if isinstance(event, ImageDeleted)} == set(others)


async def test_a_deletion_whose_records_cannot_be_read_stops_after_32_of_them() -> None:
    site = ClockedSite()
    images = [ImageKey(f"1475660224_{number}", "jpg") for number in range(1, 200)]
    reads = 0

    async def get(key: str) -> bytes:
        nonlocal reads
        reads += 1
        raise StorageFault(f"{key} cannot be read")

    site.active.get = get  # type: ignore[method-assign]
    with pytest.raises(StorageFault, match="cannot be read"):
        await site.delete(*images)
    assert reads <= 2 * 64, "the store is away: every further read only takes long"


@pytest.mark.parametrize("stuck", [str(IMAGE), f"{NAME}BI.jpg", f"{NAME}.json"])
async def test_a_deletion_that_cannot_remove_something_says_what_and_removes_the_rest(stuck: str) -> None:
    site = ClockedSite()
    await put(site.active, str(IMAGE), f"{NAME}BI.jpg", f"{NAME}.json", f"{NAME}NOW.jpg")
    site.active.stuck = {stuck}
    with pytest.raises(StorageFault, match=f"cannot be removed: active/{stuck} "):
        await site.delete(IMAGE)
    assert set(site.active.objects) == {stuck, f"{NAME}.json"}
    site.active.stuck = set()
    await site.sweep()
    assert site.nothing_is_left()


@pytest.mark.parametrize("place", ["incoming", "active"])
@pytest.mark.parametrize("record", [".json", ".modern.json"])
async def test_a_deletion_that_is_repeated_removes_what_only_a_record_names(place: str, record: str) -> None:
    site = ClockedSite()
    bucket: FaultyBucket = getattr(site, place)
    others = [ImageKey(f"1475660224_{number}", "jpg") for number in range(1, 5)]
    for image in (IMAGE, *others):
        await put(bucket, str(image), f"{image.name}OLD.jpg")
        await bucket.put(f"{image.name}{record}", record_of(f"{image.name}OLD.jpg"))
    bucket.stuck = {f"{NAME}OLD.jpg"}
    with pytest.raises(StorageFault, match=f"cannot be removed: {place}/{NAME}OLD.jpg "):
        await site.delete(IMAGE, *others)
    tombstones = {image.tombstone_key for image in (IMAGE, *others)}
    assert set(bucket.objects) - tombstones == {f"{NAME}OLD.jpg", f"{NAME}{record}"}, "of one image alone"
    bucket.stuck = set()
    await site.delete(IMAGE)
    assert set(bucket.objects) - tombstones == set()
    assert site.incoming.listings + site.active.listings == 0


@asynccontextmanager
async def editing(site: ClockedSite, temporary: Path) -> AsyncIterator[EditContext]:
    """A public photo that can be edited: what is stored in *active* has its record at once."""
    await site.active.put(str(IMAGE), photo(30, 20))
    written = site.active.put_file

    async def with_thumbnails(key: str, path: Path, *, exclusive: bool = False) -> None:
        await written(key, path, exclusive=exclusive)
        record = Record(configuration=PLAN.configuration(Stage.BASE))
        await site.active.put(record_key(ImageKey.parse(key), Stage.BASE), encode_record(record))

    site.active.put_file = with_thumbnails  # type: ignore[method-assign]
    async with Pool.open(1, Limits()) as pool:
        yield EditContext(
            buckets=site.buckets,
            bus=site.bus,
            outbox=site.publisher_context.outbox,
            pool=pool,
            plan=PLAN,
            ttl=10 * DAY,
            temporary=temporary,
            edit_wait=20,
        )


async def test_a_rotation_that_leaves_something_public_is_answered_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("publisher.edits._ATTEMPTS", 1)
    site = ClockedSite()
    await put(site.active, f"{NAME}BI.jpg")
    site.active.stuck = {f"{NAME}BI.jpg"}
    async with editing(site, tmp_path) as context:
        new, warning = await rotate_image(IMAGE, 90, context=context)
        assert warning is not None
        assert str(IMAGE) in warning
        site.active.stuck = set()
        await site.sweep()
        assert {key for key in site.active.objects if key.startswith(NAME)} == set()
        _, warning = await rotate_image(new, 90, context=context)
        assert warning is None


async def test_a_rotation_that_cannot_mark_the_old_image_as_deleted_keeps_both(tmp_path: Path) -> None:
    site = ClockedSite()
    site.incoming.unwritable = {IMAGE.tombstone_key}
    async with editing(site, tmp_path) as context:
        with pytest.raises(StorageFault, match="cannot be written"):
            await rotate_image(IMAGE, 90, context=context)
    originals = {key for key in site.active.objects if is_original(key)}
    assert str(IMAGE) in originals
    assert len(originals) == 2


@pytest.mark.parametrize("edit", ["rotate", "recrop"])
@pytest.mark.parametrize(("place", "ending"), [("incoming", ".crop"), ("active", ".jpg"), ("active", ".crop")])
async def test_an_edit_one_of_whose_writes_is_done_and_not_answered_leaves_no_second_photo(
    edit: str, place: str, ending: str, tmp_path: Path
) -> None:
    site, crop = ClockedSite(), Crop.parse("10x10+1+1")
    await site.active.put(IMAGE.crop_key, crop.geometry.text.encode())
    async with editing(site, tmp_path) as context:
        bucket: FaultyBucket = getattr(site, place)
        bucket.unanswered = (ending,)
        rotating, recropping = partial(rotate_image, IMAGE, 90), partial(recrop_image, IMAGE, crop)
        with pytest.raises(StorageFault, match="was not answered"):
            await (rotating if edit == "rotate" else recropping)(context=context)
    assert set(site.active.objects) == {str(IMAGE), IMAGE.crop_key}
    (tombstone,) = site.incoming.objects
    assert tombstone.startswith("tombstones/"), "what of it reaches the store later is removed, too"
    assert tombstone != IMAGE.tombstone_key
