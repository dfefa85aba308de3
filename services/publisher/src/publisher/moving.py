"""Moving an image's objects from *incoming* to *active* (docs/bucket-protocol.md#activation).

The original is copied first, then each stage's variants, then its record. Only what was copied is deleted afterwards.
"""

from collections.abc import Collection
from typing import NamedTuple

from common.cancellation import together
from common.errors import NoSuchKey, StorageFault
from common.images.names import ImageKey, image_name_of, is_original
from common.images.records import RECORD_ENDINGS, Record, Stage, record_key
from common.storage.base import Buckets
from common.storage.image_store import read_crop, read_record
from publisher.context import PublisherContext


async def copy_original(image: ImageKey, *, buckets: Buckets) -> None:
    """Copy the original to *active*. Only then may it be deleted from *incoming*.

    docs/bucket-protocol.md#copy-before-delete. Raises NoSuchKey; StorageFault where both buckets are one.
    """
    await buckets.active.copy_from(buckets.incoming, str(image))


class Moved(NamedTuple):
    """The keys that were moved, and whether the image is cropped.

    If it is, the variants that show the crop have to be requested (docs/bucket-protocol.md#movers-look-for-a-crop).
    """

    keys: Collection[str]
    cropped: bool


async def move_thumbnails(
    image: ImageKey,
    *,
    context: PublisherContext,
    base_record: Record | None = None,
    late_stage: Stage | None = None,
    listed: Collection[str] = (),
    original_copied: bool = False,
) -> Moved:
    """Move the variants and the record of each stage of today's settings, and of the `late_stage`, to *active*.

    A record is looked for before its variants, and copied after them
    (docs/bucket-protocol.md#record-before-variants). Without a record, only the base variants and those of the
    `late_stage` are looked for. Nothing of a cropped image is moved: its variants are rendered in *active*, and what
    *incoming* has was rendered before the crop, so it is removed.

    `base_record` is the base stage's record, if it was read before. `listed` are keys that a listing has shown in
    *incoming*; they may be of earlier sizes. With `original_copied`, the original is deleted from *incoming* with the
    rest. Raises StorageFault where both buckets are one: then nothing is deleted.
    """
    buckets = context.buckets
    if await buckets.active.is_same_object(buckets.incoming, str(image)):
        raise StorageFault(f"{image} is one object in both buckets: expected two buckets that are apart")
    public = {str(image)} if original_copied else set()
    others = set(listed) - {image.crop_key}
    if await read_crop(buckets.active, image) is not None:
        await buckets.incoming.delete_all(context.plan.rendered_keys(image) | others | public)
        return Moved(others, cropped=True)
    stages = {*context.plan.stages, *([] if late_stage is None else [late_stage])}
    copying = (
        _copy_stage(image, stage, base_record if stage is Stage.BASE else None, context, is_late=stage is late_stage)
        for stage in stages
    )
    for found in await together(*copying):
        public |= found
    for key in sorted(others, key=lambda key: key.endswith(RECORD_ENDINGS[Stage.BASE])):  # records last
        if await _copy(key, buckets):
            public.add(key)
    # Only what is public: something else may have been written since it was looked for.
    _, crop = await together(buckets.incoming.delete_all(public), read_crop(buckets.active, image))
    return Moved(public | others, cropped=crop is not None)


async def _copy_stage(
    image: ImageKey, stage: Stage, record: Record | None, context: PublisherContext, *, is_late: bool
) -> set[str]:
    """Copy what *incoming* has of the stage. Returns the keys of it that are public then."""
    buckets = context.buckets
    record = record or await read_record(buckets.incoming, image, stage)
    if record is None:
        return await _copy_without_record(image, stage, context) if is_late or stage is Stage.BASE else set()
    public = await _copy_all(context.plan.variant_keys(image, stage) | _keys(image, record), buckets)
    return public | await _copy_all({record_key(image, stage)}, buckets)


async def _copy_without_record(image: ImageKey, stage: Stage, context: PublisherContext) -> set[str]:
    """Copy the variants of an old backend's image, or what a public record lacks. Returns the keys that are public.

    A public record may lack variants if two renderings with different settings replaced each other's record. One that
    was killed and repeated leaves variants that are public already: those are not copied over the newer ones.
    """
    active, keys = context.buckets.active, context.plan.variant_keys(image, stage)
    record = await read_record(active, image, stage)
    if record is None:
        return await _copy_all(keys, context.buckets)
    keys |= _keys(image, record)
    found = await together(*(active.stat(key) for key in keys))
    public = {entry.key for entry in found if entry is not None}
    return public | await _copy_all(keys - public, context.buckets)


def _keys(image: ImageKey, record: Record) -> set[str]:
    """The variants that the record lists, as far as they are the image's."""
    keys = {variant.key for variant in record.variants}
    return {key for key in keys if image_name_of(key) == image.name and not is_original(key)}


async def _copy_all(keys: Collection[str], buckets: Buckets) -> set[str]:
    """Copy the objects to *active*. Returns the keys of those that were there."""
    ordered = list(keys)
    copied = await together(*(_copy(key, buckets) for key in ordered))
    return {key for key, was_there in zip(ordered, copied, strict=True) if was_there}


async def _copy(key: str, buckets: Buckets) -> bool:
    """Copy the object to *active*. Returns False where there is none: it was never written, or has been moved."""
    try:
        await buckets.active.copy_from(buckets.incoming, key)
    except NoSuchKey:
        return False
    return True


async def incoming_has_thumbnails(image: ImageKey, *, context: PublisherContext) -> bool:
    """Whether *incoming* has variants or records of the image."""
    incoming = context.buckets.incoming
    return any(await together(*(incoming.stat(key) for key in context.plan.rendered_keys(image))))
