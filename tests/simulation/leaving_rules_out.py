"""How a rule of docs/bucket-protocol.md is left out: the step that follows it is replaced."""

from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import Any

import pytest
from tests.support.world import IMAGE

from common.errors import StorageFault
from common.images.formats import Format
from common.images.names import ImageKey
from common.images.records import RECORD_ENDINGS, Record, Stage, encode_record
from common.images.sizes import Crop
from common.messaging.events import ImageActivated, ImageUploaded
from common.storage import image_store
from common.storage.base import Buckets, Storage
from common.storage.image_store import Original, StoredRecord, write_record
from ingest.accept import UploadContext
from publisher import activation
from publisher.activation import activate
from publisher.context import PublisherContext
from publisher.maintenance.listing import ListedImage
from publisher.maintenance.repairs import remove_orphans
from publisher.maintenance.sweep import Sweep
from publisher.moving import Moved, move_thumbnails
from resizer import thumbnails

Patch = pytest.MonkeyPatch


async def _nothing(*_: object, **__: object) -> None:
    return None


def the_reconciler_finishes_no_move(patch: Patch) -> None:
    for room in ("reconciler", "sweep"):
        patch.setattr(f"publisher.maintenance.{room}.finish_move", _nothing)


def an_activation_is_answered_before_its_effect(patch: Patch) -> None:
    async def later(image: ImageKey, *, context: PublisherContext) -> None:
        world: Any = context.bus
        world.start(lambda: activate(image, context=context), request=True, name="the rest of publish")

    patch.setattr("tests.support.small_world.activate", later)


def an_upload_is_published_before_it_is_stored(patch: Patch) -> None:
    async def publish_first(path: Path, *, context: UploadContext) -> None:
        image = ImageKey.new(Format.JPG)
        await context.outbox.send(ImageUploaded(source="/ingest", subject=image))
        await context.incoming.put_file(str(image), path)

    patch.setattr("tests.support.small_world.accept_upload", publish_first)


def both_stages_share_one_record(patch: Patch) -> None:
    patch.setitem(RECORD_ENDINGS, Stage.MODERN, RECORD_ENDINGS[Stage.BASE])


def an_original_is_looked_for_in_active_first(patch: Patch) -> None:
    async def original_of(image: ImageKey, *, buckets: Buckets) -> Original | None:
        return await image_store.original_of(image, buckets=Buckets(buckets.active, buckets.incoming))

    patch.setattr(thumbnails, "original_of", original_of)


def a_fault_counts_as_absent(patch: Patch) -> None:
    async def original_of(image: ImageKey, *, buckets: Buckets) -> Original | None:
        try:
            return await image_store.original_of(image, buckets=buckets)
        except StorageFault:
            return None

    async def find_original(name: str, *, buckets: Buckets) -> ImageKey | None:
        del name, buckets
        return None  # it would not answer either

    patch.setattr(thumbnails, "original_of", original_of)
    patch.setattr(thumbnails, "find_original", find_original)


def nobody_looks_for_a_tombstone_afterwards(patch: Patch) -> None:
    async def never(*_: object, **__: object) -> bool:
        return False

    for room in ("activation", "handlers"):
        patch.setattr(f"publisher.{room}.remove_if_deleted", never)


def a_failure_replaces_a_good_record(patch: Patch) -> None:
    async def replace(bucket: Storage, image: ImageKey, record: Record, **_: object) -> Record:
        return (await write_record(bucket, image, StoredRecord(record, encode_record(record)))).record

    patch.setattr(thumbnails, "write_failure", replace)


def replaced_variants_stay(patch: Patch) -> None:
    async def leave_them(*_: object, **__: object) -> bool:
        return True

    patch.setattr(thumbnails, "finish_replacement", leave_them)


def records_do_not_go_last(patch: Patch) -> None:
    patch.setattr("publisher.removal.RECORD_ENDINGS", {})


def no_sweep_looks_at_tombstones(patch: Patch) -> None:
    async def none(*_: object, **__: object) -> AsyncIterator[ListedImage]:
        nothing: list[ListedImage] = []
        for found in nothing:
            yield found

    patch.setattr("publisher.maintenance.tombstones.unverified", none)


def a_rotation_keeps_the_name(patch: Patch) -> None:
    async def store(_: Format, path: Path, __: bytes, buckets: Buckets, made: list[ImageKey]) -> ImageKey:
        made.append(IMAGE)
        await buckets.active.put_file(str(IMAGE), path)
        return IMAGE

    patch.setattr("publisher.edits._store_original", store)


def a_crop_is_not_pending(patch: Patch) -> None:
    async def in_active_alone(image: ImageKey, crop: Crop, *, buckets: Buckets) -> None:
        await buckets.active.put(image.crop_key, crop.geometry.text.encode())

    patch.setattr("publisher.activation.write_crop", in_active_alone)


def a_cropped_image_is_rendered_once(patch: Patch) -> None:
    render = thumbnails._render  # noqa: SLF001 - the step that is left out

    async def unless_there(image: ImageKey, stage: Stage, *others: Any) -> Record | None:
        _, crop, context = others
        there = await thumbnails._finished_record(image, stage, context.buckets.active, crop, context)  # noqa: SLF001
        return there if crop is not None and there is not None else await render(image, stage, *others)

    patch.setattr(thumbnails, "_render", unless_there)


def nobody_looks_for_a_crop_after_moving(patch: Patch) -> None:
    async def blind(*arguments: Any, **options: Any) -> Moved:
        return (await move_thumbnails(*arguments, **options))._replace(cropped=False)

    for room in ("activation", "handlers", "maintenance.repairs"):
        patch.setattr(f"publisher.{room}.move_thumbnails", blind)


def the_sweep_waits_for_no_grace(patch: Patch) -> None:
    """The look after removing an original hides almost all of what the grace is for, so it is left out, too."""
    patch.setattr("tests.support.small_world.GRACE", 0)
    patch.setattr("publisher.maintenance.sweep.find_original", _nothing)


def the_sweep_removes_parts_of_a_public_image(patch: Patch) -> None:
    async def remove(sweep: Sweep, found: ListedImage) -> None:
        await sweep.context.buckets.incoming.delete_all(found.keys)

    patch.setattr(Sweep, "_finish_move", remove)


def a_listing_decides(patch: Patch) -> None:
    """What is listed without an original is removed, without another look for that."""
    patch.setattr("publisher.maintenance.reconciler.find_original", _nothing)


def everything_is_requested_again(patch: Patch) -> None:
    async def base(*_: object, **__: object) -> Stage:
        return Stage.BASE

    patch.setattr("publisher.maintenance.reconciler.missing_stage", base)


def public_orphans_are_removed(patch: Patch) -> None:
    async def remove(_: str, keys: Collection[str], *, buckets: Buckets, **__: object) -> None:
        await remove_orphans(keys, buckets=buckets)

    patch.setattr("publisher.maintenance.reconciler.remove_private_orphans", remove)


def an_activation_is_announced_beforehand(patch: Patch) -> None:
    copy = activation._copy_original  # noqa: SLF001 - the step before which it is announced

    async def announce(image: ImageKey, context: PublisherContext) -> None:
        await context.outbox.send(ImageActivated(source="/publisher", subject=image))
        await copy(image, context)

    patch.setattr(activation, "_copy_original", announce)
