"""What the buckets have to hold of each image: after every step, and when nothing is left to do."""

from tests.support.explored import keys_of
from tests.support.small_world import MADE, SmallWorld
from tests.support.world import CROPS, IMAGE, TTL

from common.images.names import ImageKey, image_name_of
from common.images.records import decode_record, record_key


def nothing_is_lost_or_half_public(world: SmallWorld) -> None:
    """After every step: the original is somewhere, and what is public is whole, unless the image is deleted."""
    for image in world.images:
        if image.tombstone_key in world.incoming or image.crop_key in world.active:
            continue  # deleted, or rendered anew by now
        public = _of(image, set(world.active))
        for stage in world.plan.stages:
            if record_key(image, stage) in public:
                assert public >= world.plan.variant_keys(image, stage), "a public record without its variants"
        if public and "lose_original" not in world.actors:
            assert str(image) in public, "variants are public, and their original is not"
    if _is_promised(world, "uploaded") and world.scheduler.now <= TTL:
        assert str(IMAGE) in {*world.incoming, *world.active}, "the original is lost"
    if _is_promised(world, "published"):
        assert str(IMAGE) in world.active, "it was answered that the image is public"


def everything_is_settled(world: SmallWorld) -> None:
    """In the end: every image is public and whole, private and whole, or gone, as was answered."""
    for image in world.images:
        _is_whole_or_gone(image, world)
    if "lose_original" not in world.actors:
        _is_what_was_answered(world)


def _is_what_was_answered(world: SmallWorld) -> None:
    public = {image for image in world.images if str(image) in world.active}
    deleted, there = IMAGE.tombstone_key in world.incoming, str(IMAGE) in {*world.incoming, *world.active}
    if not {"delete", "delete_once"} & set(world.actors):
        assert not deleted or public & set(MADE), "nobody deleted the photo, and it is lost"
    if "deleted" in world.promised or "rotated" in world.promised:
        assert deleted, "it was answered that the image is deleted"
    if _is_promised(world, "published"):
        assert IMAGE in public, "it was answered that the image is public"
    if "rotated" in world.promised or "recropped" in world.promised:
        assert public & set(MADE), "it was answered that the new image is public"
    if "upload" not in world.actors or "uploaded" in world.promised:
        assert there or deleted or world.scheduler.now > TTL, "the original is lost"
    if world.answered and not deleted:
        assert world.active[IMAGE.crop_key] == CROPS[0].geometry.text.encode(), "the crop is not the one answered"


def _is_promised(world: SmallWorld, promise: str) -> bool:
    kept = promise in world.promised or (promise == "published" and world.published)
    return kept and IMAGE.tombstone_key not in world.incoming


def _is_whole_or_gone(image: ImageKey, world: SmallWorld) -> None:
    private, public = _of(image, set(world.incoming)), _of(image, set(world.active))
    whole, crop = keys_of(image, world.plan), world.active.get(image.crop_key)
    if image.tombstone_key in world.incoming:
        assert not public, f"deleted, and public: {sorted(public)}"
        assert not private, f"deleted, and still there: {sorted(private)}"
    elif str(image) in public:
        assert public - {image.crop_key} == whole | _listed(image, world), f"public: {sorted(public)}"
        assert not private, f"public, and left in incoming: {sorted(private)}"
        shown = "all" if crop is None else crop.decode()
        _has_not_failed(image, world, world.active)
        for stage in world.plan.stages:
            record = decode_record(world.active[record_key(image, stage)])
            contents = {world.active[key].decode() for key in world.plan.variant_keys(image, stage)}
            assert contents | {record.crop or "all"} == {shown}, f"{contents} is shown, not {shown}"
    elif image == IMAGE and "lose_original" in world.actors:
        assert public == whole - {str(image)}, f"all that is left of the photo is removed: {sorted(public)}"
    elif image.crop_key not in public:  # else somebody died before it was public; it expires
        assert not public, f"not public, and yet there: {sorted(public)}"
        assert private - {image.crop_key} in (whole, set()), f"private: {sorted(private)}"
        _has_not_failed(image, world, world.incoming)


def _listed(image: ImageKey, world: SmallWorld) -> set[str]:
    """The variants that the public records list: of other settings, if those wrote the last record."""
    found = [world.active[key] for stage in world.plan.stages if (key := record_key(image, stage)) in world.active]
    return {key for record in found for key in decode_record(record).listed_keys(image)}


def _has_not_failed(image: ImageKey, world: SmallWorld, bucket: dict[str, bytes]) -> None:
    records = [bucket[key] for stage in world.plan.stages if (key := record_key(image, stage)) in bucket]
    assert all(decode_record(record).failed is None for record in records), "what was rendered has failed"


def _of(image: ImageKey, keys: set[str]) -> set[str]:
    return {key for key in keys if image_name_of(key) == image.name}
