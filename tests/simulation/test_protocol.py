"""The bucket protocol, run by the real handlers in every order that chance finds, with crashes between any two steps.

After every step nothing may be lost or half public; in the end nothing may be left to repair.
"""

from collections.abc import Callable
from typing import Any

import pytest
from tests.support.world import EVERYTHING, FAR, IMAGE, PLAN, SEEDS, World

from common.images.records import Stage, decode_record, record_key
from publisher.moving import Moved, move_thumbnails

pytestmark = pytest.mark.explores


def nothing_is_lost_or_half_public(world: World) -> Callable[[], None]:
    def look() -> None:
        assert str(IMAGE) in world.incoming or str(IMAGE) in world.active, "lost original"
        for stage in Stage:
            if record_key(IMAGE, stage) in world.active:
                assert set(world.active) >= PLAN.variant_keys(IMAGE, stage), "record without its thumbnails"
        if set(world.active) - {str(IMAGE)}:
            assert str(IMAGE) in world.active, "thumbnails public before their original"

    return look


def all_is_public(world: World) -> None:
    assert set(world.active) == EVERYTHING
    # A publisher that is killed while it deletes may have deleted their record first. The reconciler removes them.
    assert set(world.incoming) <= PLAN.variant_keys(IMAGE, Stage.MODERN)


@pytest.mark.parametrize(
    ("actors", "crashes"),
    [
        (("activate", "resize"), 3),
        (("activate", "activate", "resize"), 2),
        (("activate", "resize", "resize"), 2),
    ],
)
async def test_every_order_ends_with_all_of_the_image_public(actors: tuple[str, ...], crashes: int) -> None:
    for seed in SEEDS:
        world = World(seed, crashes)
        for actor in actors:
            getattr(world, actor)()
        await world.run(nothing_is_lost_or_half_public(world))
        all_is_public(world)


@pytest.mark.parametrize(
    ("actors", "crashes"),
    [
        (("crop_one", "resize"), 3),
        (("crop_one", "activate", "resize"), 2),
        (("crop_one", "crop_other", "resize"), 2),
    ],
)
async def test_every_order_ends_with_the_crop_that_was_written_last(actors: tuple[str, ...], crashes: int) -> None:
    for seed in SEEDS:
        world = World(seed, crashes)
        for actor in actors:
            getattr(world, actor)()
        await world.run(lambda: None)
        assert set(world.active) == EVERYTHING | {IMAGE.crop_key}, f"seed {seed}"
        assert set(world.incoming) == set(), f"seed {seed}"
        crop = world.active[IMAGE.crop_key]
        for stage in Stage:
            shown = {world.active[key] for key in PLAN.variant_keys(IMAGE, stage)}
            assert shown == {crop}, f"seed {seed}: {stage} shows {shown}, not {crop!r}"
            record = decode_record(world.active[record_key(IMAGE, stage)])
            assert record.crop == crop.decode(), f"seed {seed}"


@pytest.mark.parametrize("crashes", [0, 2])
async def test_a_crop_does_not_bring_a_deleted_image_back(crashes: int) -> None:
    for seed in SEEDS:
        world = World(seed, crashes)
        for actor in (world.crop_one, world.activate, world.resize, world.delete):
            actor()
        await world.run(lambda: None)
        assert set(world.active) == set(), f"seed {seed}"
        assert set(world.incoming) == {IMAGE.tombstone_key}, f"seed {seed}"


@pytest.mark.parametrize("crashes", [0, 2])
async def test_nothing_that_arrives_late_brings_a_deleted_image_back(crashes: int) -> None:
    for seed in SEEDS:
        world = World(seed, crashes)
        for actor in (world.activate, world.activate, world.resize, world.delete):
            actor()
        await world.run(lambda: None)
        assert set(world.active) == set(), f"seed {seed}"
        assert set(world.incoming) == {IMAGE.tombstone_key}, f"seed {seed}"


async def test_the_search_notices_a_rule_that_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the look for a tombstone after writing, some order brings the deleted image back."""

    async def never(*_: object, **__: object) -> bool:
        return False

    for room in ("activation", "handlers"):
        monkeypatch.setattr(f"publisher.{room}.remove_if_deleted", never)
    for seed in FAR:
        world = World(seed, 0)
        for actor in (world.activate, world.resize, world.delete):
            actor()
        await world.run(lambda: None)
        if world.active:
            return
    pytest.fail("not noticed")


async def test_the_search_notices_a_crop_that_is_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the look for a crop after moving, some order leaves uncropped versions over the cropped ones."""

    async def blind(*arguments: Any, **options: Any) -> Moved:
        return (await move_thumbnails(*arguments, **options))._replace(cropped=False)

    for room in ("activation", "handlers"):
        monkeypatch.setattr(f"publisher.{room}.move_thumbnails", blind)
    for seed in FAR:
        world = World(seed, 0)
        for actor in (world.crop_one, world.activate, world.resize):
            actor()
        await world.run(lambda: None)
        shown = {world.active.get(key) for key in PLAN.variant_keys(IMAGE, Stage.BASE)}
        if shown != {world.active[IMAGE.crop_key]}:
            return
    pytest.fail("not noticed")
