"""A store that fails now and then, before what it was asked for or after it, and renderings that give up.

A request that was answered with a fault is not repeated, unless a test says so. An event whose retries are exhausted is
a dead letter. At last the store works again, dead letters are replayed, and the reconciler repairs what is left.
"""

import pytest
from tests.simulation.test_lost_crops import assert_complete, cropped_during_an_activation, run, shown
from tests.simulation.test_protocol import nothing_is_lost_or_half_public
from tests.support.world import CROPS, EVERYTHING, FAR, IMAGE, OTHERS, PLAN, SEEDS, World

from common.images.records import decode_record, record_key

pytestmark = pytest.mark.explores

CROP = CROPS[0].geometry.text


def faulty(seed: int, *, gives_up: bool = False) -> World:
    world = World(seed, 1, gives_up=gives_up)
    world.scheduler.faults = 3
    return world


async def repair(world: World) -> None:
    """The store works again, and no handler is killed any more. Dead letters are replayed, as somebody has to do."""
    world.scheduler.faults = world.crashes = 0
    await run(world, "replay")
    await run(world, "reconcile")


@pytest.mark.parametrize("actors", [("activate", "resize"), ("activate", "activate", "resize", "resize")])
async def test_retries_make_all_of_the_image_public(actors: tuple[str, ...]) -> None:
    for seed in SEEDS:
        world = faulty(seed)
        for actor in actors:
            getattr(world, actor)()
        await world.run(nothing_is_lost_or_half_public(world))
        assert set(world.active) == EVERYTHING, f"seed {seed}"
        assert set(world.incoming) == set(), f"seed {seed}"


@pytest.mark.parametrize("before", [(), ("activate", "resize")])
async def test_a_crop_that_was_answered_is_shown_although_other_requests_failed(before: tuple[str, ...]) -> None:
    answered = False
    for seed in SEEDS:
        world = World(seed, 0)
        await run(world, *before)
        world.scheduler.faults = 3
        await run(world, "resize", "crop_once", "publish_once")
        world.scheduler.faults = 0
        await run(world, "activate")  # the client asks again until the image is public
        await repair(world)
        assert_complete(world)
        assert not world.answered or shown(world) == {CROP}, f"seed {seed}: lost after a yes"
        answered |= bool(world.answered)
    assert answered


async def test_a_crop_is_shown_although_an_activation_that_moved_over_it_failed_and_is_not_repeated() -> None:
    moved = False
    for seed in SEEDS:
        world, moved_now = await cropped_during_an_activation(seed)
        moved |= moved_now
        world.scheduler.faults, world.scheduler.faulty = 1, ("delete",)
        await run(world)
        await repair(world)
        assert_complete(world)
        assert shown(world) == {CROP}, f"seed {seed}: lost after a yes"
    assert moved, "some moved versions that show all over those that show the crop"


async def test_a_request_that_fails_leaves_nothing_of_a_deleted_image_public() -> None:
    for seed in FAR[: len(SEEDS) * 4]:
        world = World(seed, 0)
        await run(world, "resize")
        world.scheduler.faults, world.scheduler.faulty = 1, ("put",)
        await run(world, "publish_once", "delete")
        assert set(world.active) == set(), f"seed {seed}"


@pytest.mark.parametrize("actors", [("resize", "resize"), ("activate", "resize"), ("activate", "resize", "resize")])
async def test_what_was_announced_has_not_failed(actors: tuple[str, ...]) -> None:
    gave_up = False
    for seed in SEEDS:
        world = faulty(seed, gives_up=True)
        await run(world, *actors)
        await repair(world)
        bucket = world.active if str(IMAGE) in world.active else world.incoming
        assert world.active == {} or set(world.incoming) == set(), f"seed {seed}"
        for stage in world.announced:
            record = decode_record(bucket[record_key(IMAGE, stage)])
            assert record.failed is None, f"seed {seed}: {stage} was announced"
            assert set(bucket) >= PLAN.variant_keys(IMAGE, stage), f"seed {seed}"
        gave_up |= world.gave_up
    assert gave_up


async def deleted_until_answered(seed: int) -> World:
    """An image with variants that its records alone name, deleted by a client that repeats what fails."""
    world = World(seed, 0, resizing=OTHERS[:1], publishing=OTHERS[:1])
    await run(world, "activate", "resize")
    assert len(set(world.active) - PLAN.keys_by_name(IMAGE)) == 2
    world.scheduler.faults = 4
    await run(world, "delete")
    return world


async def test_a_deletion_that_was_answered_leaves_nothing_public() -> None:
    for seed in SEEDS:
        world = await deleted_until_answered(seed)
        assert set(world.active) == set(), f"seed {seed}"
        assert set(world.incoming) == {IMAGE.tombstone_key}, f"seed {seed}"


async def test_the_search_notices_records_that_do_not_go_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("publisher.removal.RECORD_ENDINGS", {})
    for seed in FAR:
        if (await deleted_until_answered(seed)).active:
            return
    pytest.fail("not noticed")
