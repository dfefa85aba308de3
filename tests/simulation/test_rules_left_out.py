"""Each rule is needed: where one is left out, the search finds an order of steps in which something goes wrong.

Those of tombstones, crops, expiry and settings are left out beside the searches for them in this folder.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from tests.simulation.test_protocol import all_is_public, nothing_is_lost_or_half_public
from tests.support.world import FAR, IMAGE, PLAN, World

from common.images.names import ImageKey
from common.images.records import Record, Stage, record_key
from common.storage.base import Buckets, Storage
from publisher import moving
from resizer import thumbnails

pytestmark = pytest.mark.explores

Patch = pytest.MonkeyPatch
Check = Callable[[World], None]


def the_record_does_not_wait_for_its_variants(patch: Patch) -> None:
    writing: set[asyncio.Future[None]] = set()

    write = thumbnails._write_variants  # noqa: SLF001 - the mutant's step

    async def begin(record: Record, blobs: list[bytes], target: Storage) -> None:
        writing.add(asyncio.ensure_future(write(record, blobs, target)))

    patch.setattr("resizer.thumbnails._write_variants", begin)


def the_original_is_deleted_before_it_is_copied(patch: Patch) -> None:
    async def copy(image: ImageKey, *, buckets: Buckets) -> None:
        original = await buckets.incoming.get(str(image))
        await buckets.incoming.delete(str(image))
        await buckets.active.put(str(image), original)

    patch.setattr("publisher.activation.copy_original", copy)


def the_record_is_looked_for_after_its_variants(patch: Patch) -> None:
    async def copy_stage(move: Any, stage: Stage, _: object, **__: object) -> set[str]:
        public: set[str] = await move.copy_all(PLAN.variant_keys(IMAGE, stage))
        public |= await move.copy_all({record_key(IMAGE, stage)})
        return public

    patch.setattr(moving._Move, "copy_stage", copy_stage)  # noqa: SLF001 - a step of it is left out


def late_variants_are_not_moved(patch: Patch) -> None:
    async def nothing(*_: object, **__: object) -> None:
        return None

    patch.setattr("tests.support.world.thumbnails_ready", nothing)


def a_deletion_writes_no_tombstone(patch: Patch) -> None:
    async def nothing(*_: object, **__: object) -> None:
        return None

    patch.setattr("publisher.deletion.write_tombstone", nothing)


def is_gone(world: World) -> None:
    assert not world.active


def nothing_at_each_step(_: World) -> Callable[[], None]:
    return lambda: None


@pytest.mark.parametrize(
    ("leave_out", "actors", "end"),
    [
        (the_record_does_not_wait_for_its_variants, ("activate", "resize"), all_is_public),
        (the_original_is_deleted_before_it_is_copied, ("activate", "resize"), all_is_public),
        (the_record_is_looked_for_after_its_variants, ("activate", "resize"), all_is_public),
        (late_variants_are_not_moved, ("activate", "resize"), all_is_public),
        (a_deletion_writes_no_tombstone, ("activate", "resize", "delete"), is_gone),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
async def test_the_search_notices_a_rule_that_is_left_out(
    leave_out: Callable[[Patch], None], actors: tuple[str, ...], end: Check, monkeypatch: Patch
) -> None:
    leave_out(monkeypatch)
    step = nothing_is_lost_or_half_public if end is all_is_public else nothing_at_each_step
    for seed in FAR:
        world = World(seed, crashes=1)
        for actor in actors:
            getattr(world, actor)()
        try:
            await world.run(step(world))
            end(world)
        except (AssertionError, KeyError):
            await world.stop()
            return
    pytest.fail("not noticed")
