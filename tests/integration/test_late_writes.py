"""Whatever writes an object of a deleted image takes it back, however late it writes."""

import pytest
from tests.support.clocked_site import DAY, IMAGE, NAME, PLAN, ClockedSite, record_of
from tests.support.commands import put
from tests.support.pictures import photo

from common.images.names import ImageKey
from common.images.records import Stage, record_key
from common.messaging.events import ImageUploaded, ThumbnailsReady, ThumbnailsRequested
from common.sandbox.pool import Pool
from common.sandbox.protocol import Limits
from common.storage.image_store import write_tombstone
from publisher.activation import activate, remove_if_deleted
from publisher.handlers import thumbnails_ready
from resizer.handlers import image_uploaded, thumbnails_requested
from resizer.rendering import Renderer
from resizer.thumbnails import ResizerContext


def delete_before_copying(last_read: str, site: ClockedSite) -> None:
    """Have the image deleted when this object has been read, and is about to be written to *active*."""
    put_now = site.active.put

    async def put_later(key: str, data: bytes, *, exclusive: bool = False) -> None:
        if key == last_read:
            await site.delete(IMAGE)
        await put_now(key, data, exclusive=exclusive)

    site.active.put = put_later  # type: ignore[method-assign]


async def test_what_moved_by_an_earlier_record_is_taken_back_although_the_record_is_gone() -> None:
    """The record that listed it was removed by the deletion, between the copy's read and its write."""
    site = ClockedSite()
    await put(site.incoming, str(IMAGE), f"{NAME}OLD.jpg")
    await site.incoming.put(record_key(IMAGE, Stage.BASE), record_of(f"{NAME}OLD.jpg"))
    delete_before_copying(f"{NAME}OLD.jpg", site)
    with pytest.raises(Exception, match="was deleted"):
        await activate(IMAGE, context=site.publisher_context)
    assert site.nothing_is_left()


async def test_an_event_that_comes_late_takes_back_what_it_moved() -> None:
    site = ClockedSite()
    await put(site.active, str(IMAGE))
    await put(site.incoming, f"{NAME}OLD.jpg")
    await site.incoming.put(record_key(IMAGE, Stage.BASE), record_of(f"{NAME}OLD.jpg"))
    delete_before_copying(f"{NAME}OLD.jpg", site)
    data = {"stage": Stage.BASE, "configuration": "earlier"}
    event = ThumbnailsReady.model_validate({"source": "/test", "subject": str(IMAGE), "data": data})
    await thumbnails_ready(event, context=site.publisher_context)
    assert site.nothing_is_left()


async def test_what_a_record_lists_is_taken_back() -> None:
    site = ClockedSite()
    await put(site.active, str(IMAGE), f"{NAME}OLD.jpg")
    await site.active.put(record_key(IMAGE, Stage.BASE), record_of(f"{NAME}OLD.jpg"))
    await write_tombstone(IMAGE, buckets=site.buckets)
    assert await remove_if_deleted(IMAGE, context=site.publisher_context)
    assert site.nothing_is_left()


async def test_a_deleted_image_that_a_migration_brings_years_later_does_not_come_back() -> None:
    site = ClockedSite()
    await put(site.incoming, str(IMAGE))
    await site.delete(IMAGE)
    for days in (1, 91, 3650):
        site.now = days * DAY
        await site.sweep()
        await site.clean()
    await site.active.put(str(IMAGE), photo(30, 20))  # as the migrator stores it, had it looked just before
    async with Pool.open(1, Limits()) as pool:
        event = ImageUploaded(source="/migrator", subject=IMAGE)
        await image_uploaded(event, context=ResizerContext(site.buckets, site.bus, Renderer(pool, PLAN)))
    assert set(site.active.objects) == {str(IMAGE)}, "its thumbnails are taken back"
    await site.clean()
    assert site.nothing_is_left()


@pytest.mark.parametrize("late", ["jpg", "JPG", "png"])
async def test_a_late_event_of_one_format_leaves_the_image_of_the_same_name_alone(late: str) -> None:
    """v5's successor published a rasterised version of an SVG under the SVG's name."""
    site = ClockedSite()
    kept = {f"{NAME}.svg", f"{NAME}NOW.jpg", f"{NAME}.json", f"{NAME}NOW.webp"}
    await put(site.active, *kept)
    async with Pool.open(1, Limits()) as pool:
        resizing = ResizerContext(site.buckets, site.bus, Renderer(pool, PLAN))
        event = ThumbnailsRequested(source="/test", subject=ImageKey(NAME, late))
        await thumbnails_requested(event, context=resizing)
    assert set(site.active.objects) == kept
