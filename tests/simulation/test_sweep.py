"""The sweep among the real handlers, while the image's time to be activated runs out.

Whatever the order: what was answered with yes is public with all its versions, and anything else is whole or gone.
"""

from collections.abc import AsyncIterator, Callable

import pytest
from tests.support.processes import DEADLINE
from tests.support.world import EVERYTHING, FAR, GRACE, IMAGE, PLAN, SEEDS, TTL, World

from common.images.records import Stage, record_key
from publisher.maintenance.listing import ListedImage

pytestmark = pytest.mark.explores

_SLOWNESS = 2.0  # seconds that a step takes at most


def late(seed: int, crashes: int, grace: float = GRACE) -> World:
    """A world in which the image was uploaded almost, or just over, its time to be activated ago."""
    world = World(seed, crashes, slowness=_SLOWNESS, grace=grace)
    world.scheduler.now = TTL + (world.scheduler.random.random() - 0.9) * DEADLINE
    return world


def what_is_public_stays_whole(world: World) -> Callable[[], None]:
    def look() -> None:
        if IMAGE.tombstone_key in world.incoming:
            return
        if world.published:
            assert str(IMAGE) in world.active, "lost after a yes"
        for stage in Stage:
            if {str(IMAGE), record_key(IMAGE, stage)} <= set(world.active):
                assert set(world.active) >= PLAN.variant_keys(IMAGE, stage), "record without its thumbnails"

    return look


async def end_of(world: World, *actors: str) -> set[str]:
    """Run these, and then the reconciler. What is public then; nothing may be left in the other bucket."""
    look = what_is_public_stays_whole(world)
    for together in (actors, ("reconcile",)):
        for actor in together:
            getattr(world, actor)()
        await world.run(look)
    assert set(world.incoming) <= {IMAGE.tombstone_key}
    return set(world.active)


@pytest.mark.parametrize(
    ("actors", "crashes"),
    [
        (("activate", "resize", "sweep"), 0),
        (("activate", "resize", "sweep"), 3),
        (("activate", "resize", "sweep", "sweep"), 3),
    ],
)
async def test_an_image_ends_public_or_gone_and_never_gone_after_a_yes(actors: tuple[str, ...], crashes: int) -> None:
    ends = set()
    for seed in SEEDS:
        world = late(seed, crashes)
        left = await end_of(world, *actors)
        assert left in (EVERYTHING, set()), f"seed {seed}"
        assert left or not world.published, f"seed {seed}"
        ends.add(bool(left))
    assert ends == {True, False}, "both ends were seen"


async def test_a_crop_ends_with_its_image() -> None:
    for seed in SEEDS:
        left = await end_of(late(seed, 3), "crop_one", "resize", "sweep")
        assert left in (EVERYTHING | {IMAGE.crop_key}, set()), f"seed {seed}"


async def test_the_sweep_brings_nothing_deleted_back() -> None:
    for seed in SEEDS:
        world = late(seed, 2)
        assert await end_of(world, "activate", "resize", "sweep", "delete") == set(), f"seed {seed}"
        assert set(world.incoming) == {IMAGE.tombstone_key}, f"seed {seed}"


@pytest.mark.parametrize("grace", [0.0, GRACE])
async def test_the_search_notices_when_the_grace_is_left_out(grace: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The look after removing an original hides almost all of what the grace is for, so it is left out, too."""

    async def nowhere(*_: object, **__: object) -> None:
        return None

    monkeypatch.setattr("publisher.maintenance.sweep.find_original", nowhere)

    async def is_harmed(seed: int) -> bool:
        try:
            return await end_of(late(seed, 0, grace=grace), "activate", "resize", "sweep") not in (EVERYTHING, set())
        except AssertionError:
            return True

    harmed = False
    for seed in SEEDS if grace else FAR:
        harmed = await is_harmed(seed)
        if harmed:
            break
    assert harmed is (grace == 0)


async def deleted_by_processes_that_die(seed: int) -> set[str]:
    """What is public after a deletion that died after its tombstone, beside a request that may be killed for good."""
    world = late(seed, 2)
    if seed % 2:
        world.activate()
        world.resize()
        await world.run(lambda: None)
    for actor in ("publish_once", "delete_once"):
        getattr(world, actor)()
    await world.run(lambda: None)
    world.sweep()
    await world.run(lambda: None)
    return set(world.active)


async def test_a_death_between_tombstone_and_removal_leaves_nothing_public() -> None:
    for seed in SEEDS:
        assert await deleted_by_processes_that_die(seed) == set(), f"seed {seed}"


async def test_the_search_notices_when_no_tombstone_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    async def none(*_: object, **__: object) -> AsyncIterator[ListedImage]:
        nothing: list[ListedImage] = []
        for found in nothing:
            yield found

    monkeypatch.setattr("publisher.maintenance.tombstones.unverified", none)
    left = [await deleted_by_processes_that_die(seed) for seed in SEEDS]
    assert any(left[0::2]), "a request was killed after its copy"
    assert any(left[1::2]), "a deletion died before it removed anything"
