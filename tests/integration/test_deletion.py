"""Nothing of a deleted image stays public: what is known by name goes at once, and the next sweep finds the rest."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from pathlib import Path

import pytest
from tests.support.commands import put
from tests.support.memory import MemoryStorage
from tests.support.pictures import photo

from common.errors import StorageFault
from common.images.names import ImageKey
from common.images.plan import Plan
from common.images.records import Record, Stage, Variant, encode_record, record_key
from common.images.sizes import parse_sizes
from common.messaging.embedded import EmbeddedBus
from common.messaging.events import ImageUploaded, ThumbnailsReady, ThumbnailsRequested
from common.messaging.outbox import Outbox
from common.sandbox.pool import Pool
from common.sandbox.protocol import Limits
from common.storage.base import Buckets, Entry
from common.storage.image_store import write_tombstone
from publisher.activation import activate, remove_if_deleted
from publisher.context import EditContext, PublisherContext
from publisher.deletion import delete
from publisher.edits import rotate_image
from publisher.handlers import thumbnails_ready
from publisher.maintenance.reconciler import Reconciler
from publisher.maintenance.sweep import GRACE, Sweep
from resizer.handlers import image_uploaded, thumbnails_requested
from resizer.rendering import Renderer
from resizer.thumbnails import ResizerContext

IMAGE = ImageKey.parse("1475660224_0882910455.jpg")
NAME = IMAGE.name
OTHER = "1475660224_0882910456"
PLAN = Plan(parse_sizes('[{"suffix": "NOW", "convert": ["-resize", "9x9"]}]'))
DAY = 86400.0

Look = Callable[["World"], Awaitable[None]]


class Bucket(MemoryStorage):
    """Counts its listings, and refuses to remove some keys."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self.listings = 0
        self.stuck: set[str] = set()
        self.unreadable: set[str] = set()

    async def get(self, key: str) -> bytes:
        if key in self.unreadable:
            raise StorageFault(f"{key} cannot be read")
        return await super().get(key)

    async def delete(self, key: str) -> None:
        if key in self.stuck:
            raise StorageFault(f"{key} is stuck")
        await super().delete(key)

    async def entries(self, prefix: str = "") -> AsyncIterator[Entry]:
        self.listings += 1
        async for entry in super().entries(prefix):
            yield entry

    async def objects_of(self, names: Collection[str]) -> AsyncIterator[Entry]:
        async for entry in super().objects_of(names):
            yield entry


class World:
    """Two buckets whose clock the test sets, and what works on them."""

    def __init__(self) -> None:
        self.now = 0.0
        self.incoming, self.active = Bucket(lambda: self.now), Bucket(lambda: self.now)
        self.buckets = Buckets(self.incoming, self.active)
        self.bus = EmbeddedBus()
        self.publisher_context = PublisherContext(
            buckets=self.buckets, bus=self.bus, outbox=Outbox(self.bus), plan=PLAN, ttl=10 * DAY
        )

    async def delete(self, *images: ImageKey) -> None:
        await delete(*images, buckets=self.buckets, plan=PLAN, outbox=self.publisher_context.outbox)

    async def sweep(self) -> None:
        sweep = Sweep(self.publisher_context, Path("/nowhere"))
        async for candidate in sweep.candidates(thorough=False):
            await sweep.process(candidate)

    async def clean(self) -> None:
        sweep = Sweep(self.publisher_context, Path("/nowhere"))
        async for candidate in sweep.candidates(thorough=True):
            await sweep.process(candidate)

    async def start(self) -> None:
        reconciler = Reconciler(
            self.publisher_context, after=600, interval=1, repair_all_at_start=True, temporary=Path("/nowhere")
        )
        assert await reconciler.repair_everything()

    def nothing_is_left(self) -> bool:
        return set(self.active.objects) == set() and set(self.incoming.objects) == {IMAGE.tombstone}


def record_of(*keys: str) -> bytes:
    variants = tuple(Variant(key=key, format="jpg", width=1, height=1, bytes=1) for key in keys)
    return encode_record(Record(configuration="earlier", variants=variants))


KNOWN = [
    *(f"{NAME}.{ending}" for ending in ("jpg", "JPG", "png", "gif", "svg")),
    *(f"{NAME}{suffix}.{ending}" for suffix in ("BI", "MI", "SI", "NOW") for ending in ("jpg", "JPG", "webp", "avif")),
    *(f"{NAME}{suffix}.{ending}" for suffix in ("BI", "NOW") for ending in ("png", "gif")),
    f"{NAME}.crop",
]


@pytest.mark.parametrize("place", ["incoming", "active"])
async def test_what_is_known_by_name_goes_at_once_without_a_listing(place: str) -> None:
    world = World()
    bucket: Bucket = getattr(world, place)
    await put(bucket, *KNOWN, f"{NAME}OLD.jpg", f"{NAME}OLDER.webp", f"{OTHER}.jpg", f"{OTHER}BI.jpg")
    await bucket.put(f"{NAME}.json", record_of(f"{NAME}OLD.jpg", f"{OTHER}.jpg"))
    await bucket.put(f"{NAME}.modern.json", record_of(f"{NAME}OLDER.webp"))
    await world.delete(IMAGE)
    assert set(bucket.objects) - {IMAGE.tombstone} == {f"{OTHER}.jpg", f"{OTHER}BI.jpg"}
    assert world.incoming.listings + world.active.listings == 0


async def test_the_next_sweep_finds_by_one_listing_what_no_name_tells() -> None:
    world = World()
    images = [ImageKey(f"1475660224_{number}", "jpg") for number in range(1, 40)]
    for image in images:
        await put(world.active, str(image), f"{image.name}OLDER.jpg")
        await put(world.incoming, f"{image.name}ELSE.png")
    await put(world.active, f"{OTHER}.jpg", f"{OTHER}OLDER.jpg")
    await world.delete(*images)
    assert len(world.active.objects) == len(images) + 2
    world.incoming.listings = world.active.listings = 0
    await world.sweep()
    assert set(world.active.objects) == {f"{OTHER}.jpg", f"{OTHER}OLDER.jpg"}
    assert set(world.incoming.objects) == {image.tombstone for image in images}
    assert world.active.listings == 1, "for all of them"
    assert world.incoming.listings == 3, "of images, of tombstones, and of what is left"


@pytest.mark.parametrize("look", [World.sweep, World.clean, World.start])
@pytest.mark.parametrize("days", [0, 1, 30, 89, 200])
async def test_a_death_between_tombstone_and_removal_leaves_nothing_public(look: Look, days: float) -> None:
    world = World()
    await put(world.active, *KNOWN, f"{NAME}OLDER.jpg", f"{NAME}.json")
    await write_tombstone(IMAGE, buckets=world.buckets)
    world.now = days * DAY
    await look(world)
    assert world.nothing_is_left()


@pytest.mark.parametrize("look", [World.sweep, World.clean, World.start])
async def test_what_lands_after_a_deletion_from_a_process_that_died_is_found(look: Look) -> None:
    world = World()
    await put(world.incoming, str(IMAGE))
    await world.delete(IMAGE)
    await world.sweep()  # finds nothing, and still has to look again
    world.now = 600
    await put(world.active, str(IMAGE), f"{NAME}OLDER.jpg")  # a copy that was begun before the deletion
    world.now = GRACE + 1
    await look(world)
    assert world.nothing_is_left()


async def test_a_tombstone_is_kept_and_looked_for_until_a_listing_shows_that_its_image_is_gone() -> None:
    world = World()
    await world.delete(IMAGE)
    world.now = GRACE + 1
    await world.sweep()
    world.active.listings = 0
    for days in (1, 91, 1000):
        world.now = days * DAY
        await world.sweep()
    assert world.active.listings == 0
    assert world.nothing_is_left(), "a migration asks for the tombstone, however old it is"
    await put(world.active, f"{NAME}OLDER.jpg")  # from a copy of the bucket that somebody has put back
    await world.clean()
    assert world.nothing_is_left()


async def test_to_delete_again_is_to_look_again() -> None:
    world = World()
    await world.delete(IMAGE)
    world.now = GRACE + 1
    await world.sweep()
    await put(world.active, f"{NAME}OLDER.jpg")
    await world.delete(IMAGE)
    await world.sweep()
    assert world.nothing_is_left()


@pytest.mark.parametrize("place", ["incoming", "active"])
@pytest.mark.parametrize("record", [".json", ".modern.json"])
async def test_a_record_that_cannot_be_read_stops_no_removal_and_is_kept_for_the_next_attempt(
    place: str, record: str
) -> None:
    world = World()
    bucket: Bucket = getattr(world, place)
    others = [ImageKey(f"1475660224_{number}", "jpg") for number in range(1, 40)]
    for image in (IMAGE, *others):
        await put(bucket, str(image), f"{image.name}BI.jpg", f"{image.name}OLD.jpg")
        await bucket.put(f"{image.name}{record}", record_of(f"{image.name}OLD.jpg"))
    bucket.unreadable = {f"{NAME}{record}"}
    with pytest.raises(StorageFault, match=f"{NAME}{record} cannot be read"):
        await world.delete(IMAGE, *others)
    tombstones = {image.tombstone for image in (IMAGE, *others)}
    assert set(bucket.objects) - tombstones == {f"{NAME}{record}", f"{NAME}OLD.jpg"}, "all that is known by name"
    bucket.unreadable = set()
    await world.delete(IMAGE)
    assert set(bucket.objects) - tombstones == set()


async def test_a_deletion_whose_records_cannot_be_read_stops_after_32_of_them() -> None:
    world = World()
    images = [ImageKey(f"1475660224_{number}", "jpg") for number in range(1, 200)]
    reads = 0

    async def get(key: str) -> bytes:
        nonlocal reads
        reads += 1
        raise StorageFault(f"{key} cannot be read")

    world.active.get = get  # type: ignore[method-assign]
    with pytest.raises(StorageFault, match="cannot be read"):
        await world.delete(*images)
    assert reads <= 2 * 64, "the store is away: every further read only takes long"


@pytest.mark.parametrize("stuck", [str(IMAGE), f"{NAME}BI.jpg", f"{NAME}.json"])
async def test_a_deletion_that_cannot_remove_something_says_what_and_removes_the_rest(stuck: str) -> None:
    world = World()
    await put(world.active, str(IMAGE), f"{NAME}BI.jpg", f"{NAME}.json", f"{NAME}NOW.jpg")
    world.active.stuck = {stuck}
    with pytest.raises(StorageFault, match=f"cannot be removed: active/{stuck} "):
        await world.delete(IMAGE)
    assert set(world.active.objects) == {stuck}
    world.active.stuck = set()
    await world.sweep()
    assert world.nothing_is_left()


async def test_a_store_that_is_away_is_not_asked_for_every_key() -> None:
    world = World()
    images = [ImageKey(f"1475660224_{number}", "jpg") for number in range(1, 400)]
    world.active.stuck = {key for image in images for key in PLAN.all_known_keys(image)}
    for image in images:
        await put(world.active, str(image))
    with pytest.raises(StorageFault, match=r"cannot be removed: active/.* and \d+ more"):
        await world.delete(*images)


async def test_what_moved_by_an_earlier_record_is_taken_back_although_the_record_is_gone() -> None:
    """The record that listed it was removed by the deletion, between the copy's read and its write."""
    world = World()
    await put(world.incoming, str(IMAGE), f"{NAME}OLD.jpg")
    await world.incoming.put(record_key(IMAGE, Stage.BASE), record_of(f"{NAME}OLD.jpg"))
    copy = world.active.put

    async def copy_later(key: str, data: bytes) -> None:
        if key == f"{NAME}OLD.jpg":
            await world.delete(IMAGE)
        await copy(key, data)

    world.active.put = copy_later  # type: ignore[method-assign]
    with pytest.raises(Exception, match="was deleted"):
        await activate(IMAGE, context=world.publisher_context)
    assert world.nothing_is_left()


async def test_an_event_that_comes_late_takes_back_what_it_moved() -> None:
    world = World()
    await put(world.active, str(IMAGE))
    await put(world.incoming, f"{NAME}OLD.jpg")
    await world.incoming.put(record_key(IMAGE, Stage.BASE), record_of(f"{NAME}OLD.jpg"))
    copy = world.active.put

    async def copy_later(key: str, data: bytes) -> None:
        if key == f"{NAME}OLD.jpg":
            await world.delete(IMAGE)
        await copy(key, data)

    world.active.put = copy_later  # type: ignore[method-assign]
    data = {"stage": Stage.BASE, "configuration": "earlier"}
    event = ThumbnailsReady.model_validate({"source": "/test", "subject": str(IMAGE), "data": data})
    await thumbnails_ready(event, context=world.publisher_context)
    assert world.nothing_is_left()


async def test_what_a_record_lists_is_taken_back() -> None:
    world = World()
    await put(world.active, str(IMAGE), f"{NAME}OLD.jpg")
    await world.active.put(record_key(IMAGE, Stage.BASE), record_of(f"{NAME}OLD.jpg"))
    await write_tombstone(IMAGE, buckets=world.buckets)
    assert await remove_if_deleted(IMAGE, context=world.publisher_context)
    assert world.nothing_is_left()


@pytest.mark.parametrize("look", [World.sweep, World.clean, World.start])
async def test_what_is_left_in_incoming_takes_nothing_public_with_it(look: Look) -> None:
    """Public versions without an original may be all that is left of a photo; a document may still show them."""
    world = World()
    await put(world.active, f"{NAME}BI.jpg", f"{NAME}.json")
    await put(world.incoming, f"{NAME}BI.jpg", f"{NAME}SI.jpg")
    world.now = 20 * DAY
    await look(world)
    assert set(world.active.objects) == {f"{NAME}BI.jpg", f"{NAME}.json"}
    assert set(world.incoming.objects) == set()


@pytest.mark.parametrize("look", [World.sweep, World.clean, World.start])
async def test_what_a_crop_has_made_public_goes_with_an_image_that_was_never_activated(look: Look) -> None:
    world = World()
    await put(world.active, f"{NAME}NOW.jpg", f"{NAME}.json", f"{NAME}.crop")
    await put(world.incoming, f"{NAME}NOW.jpg")
    world.now = 20 * DAY
    await look(world)
    assert set(world.active.objects) | set(world.incoming.objects) == set()


@pytest.mark.parametrize("look", [World.sweep, World.clean, World.start])
async def test_what_is_left_of_a_cropped_photo_stays_public_like_that_of_any_other(look: Look) -> None:
    """Its original was lost. To remove what a document may still show is for `reconcile --repair --names`."""
    world = World()
    left = {f"{NAME}NOW.jpg", f"{NAME}.json", f"{NAME}.crop"}
    await put(world.active, *left, f"{OTHER}.crop")
    world.now = 20 * DAY
    await look(world)
    assert set(world.active.objects) - {f"{OTHER}.crop"} == left
    await world.clean()
    assert set(world.active.objects) == left, "a crop alone shows nothing"


async def test_a_deleted_image_that_a_migration_brings_years_later_does_not_come_back() -> None:
    world = World()
    await put(world.incoming, str(IMAGE))
    await world.delete(IMAGE)
    for days in (1, 91, 3650):
        world.now = days * DAY
        await world.sweep()
        await world.clean()
    await world.active.put(str(IMAGE), photo(30, 20))  # as the migrator stores it, had it looked just before
    async with Pool.open(1, Limits()) as pool:
        event = ImageUploaded(source="/migrator", subject=IMAGE)
        await image_uploaded(event, context=ResizerContext(world.buckets, world.bus, Renderer(pool, PLAN)))
    assert set(world.active.objects) == {str(IMAGE)}, "its thumbnails are taken back"
    await world.clean()
    assert world.nothing_is_left()


@pytest.mark.parametrize("late", ["jpg", "JPG", "png"])
async def test_a_late_event_of_one_format_leaves_the_image_of_the_same_name_alone(late: str) -> None:
    """v5's successor published a rasterised version of an SVG under the SVG's name."""
    world = World()
    kept = {f"{NAME}.svg", f"{NAME}NOW.jpg", f"{NAME}.json", f"{NAME}NOW.webp"}
    await put(world.active, *kept)
    async with Pool.open(1, Limits()) as pool:
        resizing = ResizerContext(world.buckets, world.bus, Renderer(pool, PLAN))
        event = ThumbnailsRequested(source="/test", subject=ImageKey(NAME, late))
        await thumbnails_requested(event, context=resizing)
    assert set(world.active.objects) == kept


async def test_a_rotation_that_leaves_something_public_is_answered_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("publisher.edits._ATTEMPTS", 1)
    world = World()
    await world.active.put(str(IMAGE), photo(30, 20))
    await put(world.active, f"{NAME}BI.jpg")
    world.active.stuck = {f"{NAME}BI.jpg"}
    async with Pool.open(1, Limits()) as pool:
        edit_context = EditContext(
            buckets=world.buckets,
            bus=world.bus,
            outbox=world.publisher_context.outbox,
            pool=pool,
            plan=PLAN,
            ttl=10 * DAY,
            temporary=tmp_path,
            patience=20,
        )
        written = world.active.put_file

        async def with_thumbnails(key: str, path: Path, *, exclusive: bool = False) -> None:
            await written(key, path, exclusive=exclusive)
            record = Record(configuration=PLAN.configuration(Stage.BASE))
            await world.active.put(record_key(ImageKey.parse(key), Stage.BASE), encode_record(record))

        world.active.put_file = with_thumbnails  # type: ignore[method-assign]
        new, warning = await rotate_image(IMAGE, 90, context=edit_context)
        assert warning is not None
        assert str(IMAGE) in warning
        world.active.stuck = set()
        await world.sweep()
        assert {key for key in world.active.objects if key.startswith(NAME)} == set()
        _, warning = await rotate_image(new, 90, context=edit_context)
        assert warning is None
