"""Nothing of a deleted image stays public: what is known by name goes at once, and the next sweep finds the rest."""

from collections.abc import Awaitable, Callable

import pytest
from tests.support.clocked_site import DAY, IMAGE, NAME, ClockedSite, FaultyBucket, record_of
from tests.support.commands import put

from common.images.names import ImageKey
from common.storage.image_store import write_tombstone
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
    assert set(bucket.objects) - {IMAGE.tombstone_key} == {f"{OTHER}.jpg", f"{OTHER}BI.jpg"}
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
    assert set(site.incoming.objects) == {image.tombstone_key for image in images}
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
