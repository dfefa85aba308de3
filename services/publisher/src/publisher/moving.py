"""Moving an image's objects from *incoming* to *active* (docs/bucket-protocol.md#activation).

The original is copied first, then each stage's variants, then its record. Only what was copied is deleted afterwards.
"""

from collections.abc import Collection
from typing import NamedTuple

from common import tracing
from common.cancellation import together
from common.errors import NoSuchKey, StorageFault
from common.images.names import ImageKey
from common.images.records import Stage, record_key
from common.storage.base import Buckets
from common.storage.image_store import (
    StoredRecord,
    read_crop,
    read_record,
    read_stored_record,
    write_failure,
    write_record,
)
from publisher.context import PublisherContext


async def copy_original(image: ImageKey, *, buckets: Buckets) -> None:
    """Copy the original to *active*. Only then may it be deleted from *incoming*.

    docs/bucket-protocol.md#copy-before-delete. Raises NoSuchKey; StorageFault where both buckets are one.
    """
    with tracing.span("copy the original"):
        await buckets.active.copy_from(buckets.incoming, str(image))


class Moved(NamedTuple):
    """What was moved of an image, as far as the callers have to act on it.

    `keys` are those that may have been copied. If the image is `cropped`, the variants that show the crop have to be
    requested (docs/bucket-protocol.md#movers-look-for-a-crop). `failed` are stages whose public record is one of a
    failure. `fault` is to be raised once the caller has looked for what others have done meanwhile: without an answer
    of the store something may have been copied all the same.
    """

    keys: Collection[str] = ()
    cropped: bool = False
    failed: Collection[Stage] = ()
    fault: StorageFault | None = None


async def move_thumbnails(
    image: ImageKey,
    *,
    context: PublisherContext,
    late_stage: Stage | None = None,
    listed: Collection[str] = (),
    original_copied: bool = False,
) -> Moved:
    """Move the variants and the record of each stage of today's settings, and of the `late_stage`, to *active*.

    A record is looked for after the original was copied and before its variants, and copied after them
    (docs/bucket-protocol.md#record-before-variants). Without a record, only the base variants and those of the
    `late_stage` are looked for. Nothing of a cropped image is moved: its variants are rendered in *active*, and what
    *incoming* has was rendered before the crop, so it is removed.

    `listed` are keys that a listing has shown in *incoming*; they may be of earlier sizes. With `original_copied`, the
    original is deleted from *incoming* with the rest. Raises StorageFault where both buckets are one: then nothing is
    deleted; and where the looks for a record or a crop fail.
    """
    buckets = context.buckets
    if await buckets.active.is_same_object(buckets.incoming, str(image)):
        raise StorageFault(f"{image} is one object in both buckets: expected two buckets that are apart")
    others = set(listed) - {image.crop_key}
    wanted = {*context.plan.stages, late_stage, *(stage for stage in Stage if record_key(image, stage) in others)}
    stages = [stage for stage in Stage if stage in wanted]
    crop, found = await together(read_crop(buckets.active, image), _read_records(image, stages, buckets))
    public = {str(image)} if original_copied else set()
    if crop is not None:
        left = await _delete(context.plan.rendered_keys(image) | others | public, buckets)
        return Moved(others, cropped=True, fault=left)
    move = _Move(image, context)
    try:
        with tracing.span("copy the variants"):
            pairs = zip(stages, found, strict=True)
            copying = (move.copy_stage(stage, record, is_late=stage is late_stage) for stage, record in pairs)
            public = public.union(*await together(*copying))
            records_listed = {record_key(image, stage) for stage in stages} & others
            public |= await move.copy_lacking(others - records_listed - public)
            public |= await move.copy_lacking(records_listed - public)
    except StorageFault as fault:
        cropped = await read_crop(buckets.active, image) is not None
        return Moved(move.tried, cropped, move.failed, fault)
    # Only what is public: something else may have been written since it was looked for.
    with tracing.span("remove what was copied"):
        left, crop = await together(_delete(public, buckets), read_crop(buckets.active, image))
    return Moved(move.tried, crop is not None, move.failed, left)


async def _read_records(image: ImageKey, stages: list[Stage], buckets: Buckets) -> tuple[StoredRecord | None, ...]:
    return await together(*(read_stored_record(buckets.incoming, image, stage) for stage in stages))


async def _delete(keys: Collection[str], buckets: Buckets) -> StorageFault | None:
    """Delete these keys from *incoming*. Returns why some may be left."""
    try:
        await buckets.incoming.delete_all(keys)
    except StorageFault as fault:
        return fault
    return None


class _Move:
    """Copies of one image's objects. `tried` are the keys that may have been copied."""

    def __init__(self, image: ImageKey, context: PublisherContext) -> None:
        self.tried: set[str] = set()
        self.failed: set[Stage] = set()
        self._image = image
        self._plan = context.plan
        self._buckets = context.buckets

    async def copy_stage(self, stage: Stage, found: StoredRecord | None, *, is_late: bool) -> set[str]:
        """Copy what *incoming* has of the stage; `found` is its record. Returns the keys of it that are public then."""
        key = record_key(self._image, stage)
        variants = self._plan.variant_keys(self._image, stage)
        if found is not None and found.record.failed is None:
            listed = found.record.listed_keys(self._image)
            public = await self.copy_all(variants | listed)
            # Not what is there by now: that may list other variants, or be the record of a failure.
            self.tried.add(key)
            written = await write_record(self._buckets.active, self._image, found)
            if not written.first:  # docs/bucket-protocol.md#replaced-variants-go
                await self.copy_lacking(listed)
            return public | {key}
        if found is None:
            return await self._copy_without_record(stage, variants) if is_late or stage is Stage.BASE else set()
        public = await self._copy_without_record(stage, variants)
        # docs/bucket-protocol.md#good-records-stay
        self.tried.add(key)
        stays = await write_failure(self._buckets.active, self._image, found.record, over_other_settings=False)
        if stays.failed is not None:
            self.failed.add(stage)
        return public | {key}

    async def _copy_without_record(self, stage: Stage, variants: Collection[str]) -> set[str]:
        """Copy the variants of an old backend's image, or what a public record lacks. Returns the keys that are public.

        A public record may lack variants if two renderings with different settings replaced each other's record. One
        that was killed and repeated leaves variants that are public already.
        """
        record = await read_record(self._buckets.active, self._image, stage)
        if record is None:
            return await self.copy_all(variants)
        if record.failed is not None:
            self.failed.add(stage)
        return await self.copy_lacking({*variants, *record.listed_keys(self._image)})

    async def copy_lacking(self, keys: Collection[str]) -> set[str]:
        """Copy the objects that *active* lacks: the others may be newer there. Returns the keys that are public."""
        found = await together(*(self._buckets.active.stat(key) for key in sorted(keys)))
        public = {entry.key for entry in found if entry is not None}
        return public | await self.copy_all(set(keys) - public)

    async def copy_all(self, keys: Collection[str]) -> set[str]:
        """Copy the objects to *active*. Returns the keys of those that were there."""
        ordered = sorted(keys)
        self.tried.update(keys)
        copied = await together(*(self._copy(key) for key in ordered))
        return {key for key, was_there in zip(ordered, copied, strict=True) if was_there}

    async def _copy(self, key: str) -> bool:
        """Copy the object. Returns False where there is none: it was never written, or has been moved."""
        try:
            await self._buckets.active.copy_from(self._buckets.incoming, key)
        except NoSuchKey:
            return False
        return True


async def incoming_has_thumbnails(image: ImageKey, *, context: PublisherContext) -> bool:
    """Whether *incoming* has variants or records of the image."""
    incoming = context.buckets.incoming
    return any(await together(*(incoming.stat(key) for key in sorted(context.plan.rendered_keys(image)))))
