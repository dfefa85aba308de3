"""A crop whose request may be lost: its process dies anywhere, or all do and take their events along.

What was answered with yes is shown in the end, whoever died; and of no crop, answered or not, is anything left to do.
"""

import pytest
from tests.support.world import CROPS, EVERYTHING, IMAGE, PLAN, SEEDS, World

from common.images.names import ImageKey
from common.images.records import Stage, decode_record, record_key
from common.images.sizes import Crop
from common.storage.base import Buckets

pytestmark = pytest.mark.explores

CROP = CROPS[0].geometry.text


async def run(world: World, *actors: str, steps: float = float("inf")) -> None:
    for actor in actors:
        getattr(world, actor)()
    await world.run(lambda: None, steps=steps)


def shown(world: World) -> set[str | None]:
    """What the public versions show, and what their records say that they do; None is all of the image."""
    found: set[str | None] = set()
    for stage in Stage:
        record = decode_record(world.active[record_key(IMAGE, stage)])
        found |= {record.crop, *(world.active[key].decode() for key in PLAN.variant_keys(IMAGE, stage))}
    return {None if text == "all" else text for text in found}


def assert_complete(world: World) -> None:
    crop = world.active.get(IMAGE.crop_key)
    assert set(world.active) - {IMAGE.crop_key} == EVERYTHING
    assert set(world.incoming) == set()
    assert shown(world) == {None if crop is None else crop.decode()}


async def cropped_during_an_activation(seed: int) -> tuple[World, bool]:
    """An activation that is suspended, a crop, and some more of the activation; whether that moved over the crop."""
    world = World(seed, 0)
    await run(world, "resize")
    await run(world, "publish_once", steps=seed % 20)
    world.suspend()
    await run(world, "crop_once")
    world.resume()
    await run(world, steps=seed // 20 % 15)
    return world, None in shown(world)


async def cropped_before_everything_dies(seed: int) -> World:
    """A public image; some of a request to crop it; then all dies with its events, and the embedded default starts."""
    world = World(seed, 0)
    await run(world, "activate", "resize")
    await run(world, "crop_once", steps=1 + seed % 40)
    await world.stop()
    await run(world, "start_embedded")
    return world


async def cropped_by_processes_that_die(seed: int, *before: str) -> World:
    """A public image; a request to crop it that may be killed for good, among others; then the reconciler."""
    world = World(seed, 0)
    await run(world, *before)
    world.crashes = 2
    await run(world, "crop_once", "publish_once")
    await run(world, "reconcile")
    return world


@pytest.mark.parametrize("before", [("activate", "resize"), ("activate", "resize", "crop_other")])
async def test_a_crop_of_a_public_image_is_shown_although_its_process_died(before: tuple[str, ...]) -> None:
    ends = set()
    for seed in SEEDS:
        world = await cropped_by_processes_that_die(seed, *before)
        assert_complete(world)
        assert not world.answered or shown(world) == {CROP}, f"seed {seed}: lost after a yes"
        ends.add((bool(world.answered), CROP in shown(world)))
    assert ends == {(True, True), (False, True), (False, False)}, "all ends were seen"


async def test_a_crop_of_an_image_that_is_being_made_public_is_shown_although_its_process_died() -> None:
    for seed in SEEDS:
        world = World(seed, 2)
        await run(world, "resize", "crop_once", "publish_once")
        await run(world, "activate")  # the client asks again
        await run(world, "reconcile")
        assert_complete(world)
        assert not world.answered or shown(world) == {CROP}, f"seed {seed}: lost after a yes"


async def test_a_crop_is_shown_although_an_activation_that_was_suspended_moves_whole_versions_over_it() -> None:
    moved = False
    for seed in SEEDS:
        world, moved_now = await cropped_during_an_activation(seed)
        moved |= moved_now
        await run(world)
        assert_complete(world)
        assert shown(world) == {CROP}, f"seed {seed}: lost after a yes"
    assert moved, "some moved versions that show all over those that show the crop"


async def test_everything_dies_with_all_events_and_the_next_start_repairs_the_crop() -> None:
    for seed in SEEDS:
        world = await cropped_before_everything_dies(seed)
        assert_complete(world)
        assert not world.answered or shown(world) == {CROP}, f"seed {seed}: lost after a yes"


async def test_the_search_notices_a_crop_that_is_not_pending(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its copy in *incoming*, nothing tells that a crop was never asked for."""

    async def in_active_alone(image: ImageKey, crop: Crop, *, buckets: Buckets) -> None:
        await buckets.active.put(image.crop_key, crop.geometry.text.encode())

    monkeypatch.setattr("publisher.activation.write_crop", in_active_alone)
    for seed in SEEDS:
        world = await cropped_by_processes_that_die(seed, "activate", "resize")
        if IMAGE.crop_key in world.active and shown(world) != {CROP}:
            return
    pytest.fail("not noticed")


async def test_the_search_notices_a_start_that_does_not_compare_crops(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: object, **__: object) -> None:
        return None

    monkeypatch.setattr("publisher.maintenance.reconciler.stage_of_other_crop", nothing)
    for seed in SEEDS:
        world = await cropped_before_everything_dies(seed)
        if IMAGE.crop_key in world.active and shown(world) != {CROP}:
            return
    pytest.fail("not noticed")
