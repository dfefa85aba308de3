"""Nothing of a deleted image stays public: what is known by name goes at once, and the next sweep finds the rest."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.support.clocked_site import DAY, IMAGE, NAME, PLAN, ClockedSite, FaultyBucket, record_of
from tests.support.commands import put
from tests.support.pictures import photo

from common.errors import StorageFault
from common.images.names import ImageKey
from common.images.records import Record, Stage, encode_record, record_key
from common.messaging.events import Event, ImageDeleted
from common.sandbox.pool import Pool
from common.sandbox.protocol import Limits
from common.storage.image_store import write_tombstone
from publisher.context import EditContext
from publisher.edits import rotate_image
from publisher.maintenance.sweep import GRACE

OTHER = "1475660224_0882910456"

Look = Callable[[ClockedSite], Awaitable[None]]

KNOWN = [
    *(f"{NAME}.{ending}" for ending in ("jpg", "JPG", "png", "gif", "svg")),
    *(f"{NAME}{suffix}.{ending}" for suffix in ("BI", "MI", "SI", "NOW") for ending in ("jpg", "JPG", "webp", "avif")),
    *(f"{NAME}{suffix}.{ending}" for suffix in ("BI", "NOW") for ending in ("png", "gif")),
    f"{NAME}.crop",
]


@pytest.mark.parametrize("place", ["incoming", "active"])
async def test_what_is_known_by_name_goes_at_once_without_a_listing(place: str) -> None:
    site = ClockedSite()
    bucket: FaultyBucket = getattr(site, place)
    await put(bucket, *KNOWN, f"{NAME}OLD.jpg", f"{NAME}OLDER.webp", f"{OTHER}.jpg", f"{OTHER}BI.jpg")
    await bucket.put(f"{NAME}.json", record_of(f"{NAME}OLD.jpg", f"{OTHER}.jpg"))
    await bucket.put(f"{NAME}.modern.json", record_of(f"{NAME}OLDER.webp"))
    await site.delete(IMAGE)
    assert set(bucket.objects) - {IMAGE.tombstone} == {f"{OTHER}.jpg", f"{OTHER}BI.jpg"}
    assert site.incoming.listings + site.active.listings == 0


async def test_the_next_sweep_finds_by_one_listing_what_no_name_tells() -> None:
    site = ClockedSite()
    images = [ImageKey(f"1475660224_{number}", "jpg") for number in range(1, 40)]
    for image in images:
        await put(site.active, str(image), f"{image.name}OLDER.jpg")
        await put(site.incoming, f"{image.name}ELSE.png")
    await put(site.active, f"{OTHER}.jpg", f"{OTHER}OLDER.jpg")
    await site.delete(*images)
    assert len(site.active.objects) == len(images) + 2
    site.incoming.listings = site.active.listings = 0
    await site.sweep()
    assert set(site.active.objects) == {f"{OTHER}.jpg", f"{OTHER}OLDER.jpg"}
    assert set(site.incoming.objects) == {image.tombstone for image in images}
    assert site.active.listings == 1, "for all of them"
    assert site.incoming.listings == 3, "of images, of tombstones, and of what is left"


@pytest.mark.parametrize("look", [ClockedSite.sweep, ClockedSite.clean, ClockedSite.start])
@pytest.mark.parametrize("days", [0, 1, 30, 89, 200])
async def test_a_death_between_tombstone_and_removal_leaves_nothing_public(look: Look, days: float) -> None:
    site = ClockedSite()
    await put(site.active, *KNOWN, f"{NAME}OLDER.jpg", f"{NAME}.json")
    await write_tombstone(IMAGE, buckets=site.buckets)
    site.now = days * DAY
    await look(site)
    assert site.nothing_is_left()


@pytest.mark.parametrize("look", [ClockedSite.sweep, ClockedSite.clean, ClockedSite.start])
async def test_what_lands_after_a_deletion_from_a_process_that_died_is_found(look: Look) -> None:
    site = ClockedSite()
    await put(site.incoming, str(IMAGE))
    await site.delete(IMAGE)
    await site.sweep()  # finds nothing, and still has to look again
    site.now = 600
    await put(site.active, str(IMAGE), f"{NAME}OLDER.jpg")  # a copy that was begun before the deletion
    site.now = GRACE + 1
    await look(site)
    assert site.nothing_is_left()


async def test_a_tombstone_is_kept_and_looked_for_until_a_listing_shows_that_its_image_is_gone() -> None:
    site = ClockedSite()
    await site.delete(IMAGE)
    site.now = GRACE + 1
    await site.sweep()
    site.active.listings = 0
    for days in (1, 91, 1000):
        site.now = days * DAY
        await site.sweep()
    assert site.active.listings == 0
    assert site.nothing_is_left(), "a migration asks for the tombstone, however old it is"
    await put(site.active, f"{NAME}OLDER.jpg")  # from a copy of the bucket that somebody has put back
    await site.clean()
    assert site.nothing_is_left()


async def test_to_delete_again_is_to_look_again() -> None:
    site = ClockedSite()
    await site.delete(IMAGE)
    site.now = GRACE + 1
    await site.sweep()
    await put(site.active, f"{NAME}OLDER.jpg")
    await site.delete(IMAGE)
    await site.sweep()
    assert site.nothing_is_left()


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
    tombstones = {image.tombstone for image in (IMAGE, *others)}
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
    site.incoming.unwritable = {IMAGE.tombstone}
    with pytest.raises(StorageFault, match=f"{IMAGE.tombstone} cannot be written"):
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
    assert set(site.active.objects) == {stuck}
    site.active.stuck = set()
    await site.sweep()
    assert site.nothing_is_left()


async def test_a_store_that_is_away_is_not_asked_for_every_key() -> None:
    site = ClockedSite()
    images = [ImageKey(f"1475660224_{number}", "jpg") for number in range(1, 400)]
    site.active.stuck = {key for image in images for key in PLAN.keys_by_name(image)}
    for image in images:
        await put(site.active, str(image))
    with pytest.raises(StorageFault, match=r"cannot be removed: active/.* and \d+ more"):
        await site.delete(*images)


@pytest.mark.parametrize("look", [ClockedSite.sweep, ClockedSite.clean, ClockedSite.start])
async def test_what_is_left_in_incoming_takes_nothing_public_with_it(look: Look) -> None:
    """Public versions without an original may be all that is left of a photo; a document may still show them."""
    site = ClockedSite()
    await put(site.active, f"{NAME}BI.jpg", f"{NAME}.json")
    await put(site.incoming, f"{NAME}BI.jpg", f"{NAME}SI.jpg")
    site.now = 20 * DAY
    await look(site)
    assert set(site.active.objects) == {f"{NAME}BI.jpg", f"{NAME}.json"}
    assert set(site.incoming.objects) == set()


@pytest.mark.parametrize("look", [ClockedSite.sweep, ClockedSite.clean, ClockedSite.start])
async def test_what_a_crop_has_made_public_goes_with_an_image_that_was_never_activated(look: Look) -> None:
    site = ClockedSite()
    await put(site.active, f"{NAME}NOW.jpg", f"{NAME}.json", f"{NAME}.crop")
    await put(site.incoming, f"{NAME}NOW.jpg")
    site.now = 20 * DAY
    await look(site)
    assert set(site.active.objects) | set(site.incoming.objects) == set()


@pytest.mark.parametrize("look", [ClockedSite.sweep, ClockedSite.clean, ClockedSite.start])
async def test_what_is_left_of_a_cropped_photo_stays_public_like_that_of_any_other(look: Look) -> None:
    """Its original was lost. To remove what a document may still show is for `reconcile --repair --names`."""
    site = ClockedSite()
    left = {f"{NAME}NOW.jpg", f"{NAME}.json", f"{NAME}.crop"}
    await put(site.active, *left, f"{OTHER}.crop")
    site.now = 20 * DAY
    await look(site)
    assert set(site.active.objects) - {f"{OTHER}.crop"} == left
    await site.clean()
    assert set(site.active.objects) == left, "a crop alone shows nothing"


async def test_a_rotation_that_leaves_something_public_is_answered_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("publisher.edits._ATTEMPTS", 1)
    site = ClockedSite()
    await site.active.put(str(IMAGE), photo(30, 20))
    await put(site.active, f"{NAME}BI.jpg")
    site.active.stuck = {f"{NAME}BI.jpg"}
    async with Pool.open(1, Limits()) as pool:
        edit_context = EditContext(
            buckets=site.buckets,
            bus=site.bus,
            outbox=site.publisher_context.outbox,
            pool=pool,
            plan=PLAN,
            ttl=10 * DAY,
            temporary=tmp_path,
            edit_wait=20,
        )
        written = site.active.put_file

        async def with_thumbnails(key: str, path: Path, *, exclusive: bool = False) -> None:
            await written(key, path, exclusive=exclusive)
            record = Record(configuration=PLAN.configuration(Stage.BASE))
            await site.active.put(record_key(ImageKey.parse(key), Stage.BASE), encode_record(record))

        site.active.put_file = with_thumbnails  # type: ignore[method-assign]
        new, warning = await rotate_image(IMAGE, 90, context=edit_context)
        assert warning is not None
        assert str(IMAGE) in warning
        site.active.stuck = set()
        await site.sweep()
        assert {key for key in site.active.objects if key.startswith(NAME)} == set()
        _, warning = await rotate_image(new, 90, context=edit_context)
        assert warning is None
