"""Old and new settings side by side, as in the middle of an upgrade: every run ends, and ends whole.

Each pair of a publisher and a resizer with different settings; two of each; and resizers of the version before, whose
events do not tell what part of the image they have rendered.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from tests.support.instant_pool import InstantPool
from tests.support.world import CROPS, FAR, IMAGE, OTHERS, PLAN, SEEDS, World

from common.images.plan import Plan
from common.images.records import Record, Stage, decode_record, record_key
from common.messaging.events import ThumbnailsReady
from common.storage.image_store import read_crop, read_record
from publisher.context import PublisherContext
from resizer.rendering import Renderer

pytestmark = pytest.mark.explores

PLANS = {"today": PLAN, "other": OTHERS[0], "base": OTHERS[1]}
PAIRS = [((one,), (other,)) for one, other in product(PLANS, PLANS) if one != other]
MIXED = [*PAIRS, (("today", "other"), ("today", "other")), (tuple(PLANS), tuple(PLANS))]
FEW = SEEDS[: len(SEEDS) // 5]  # of each combination


def plans(names: Sequence[str]) -> list[Plan]:
    return [PLANS[name] for name in names]


def records(world: World) -> list[Record]:
    keys = [record_key(IMAGE, stage) for stage in Stage]
    return [decode_record(world.active[key]) for key in keys if key in world.active]


async def run_and_reconcile(world: World, *actors: str) -> None:
    """Run these actors, then the reconciler. Nothing is left to be moved, and every record's versions are public."""
    for together in (actors, ("reconcile",)):
        for actor in together:
            getattr(world, actor)()
        await world.run(lambda: None)
    assert str(IMAGE) in world.active
    assert set(world.incoming) == set()
    assert Stage.BASE in {record.stage for record in records(world)}
    for record in records(world):
        assert {variant.key for variant in record.variants} <= set(world.active)


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize(("publishing", "resizing"), MIXED)
@pytest.mark.parametrize("actors", [("crop_one", "resize"), ("crop_one", "crop_other", "activate", "resize")])
async def test_every_run_with_a_crop_ends_and_shows_it(
    actors: tuple[str, ...], publishing: Sequence[str], resizing: Sequence[str], *, old: bool
) -> None:
    for seed in FEW:
        world = World(seed, 2, publishing=plans(publishing), resizing=plans(resizing), old=old)
        await run_and_reconcile(world, *actors)
        crop = world.active[IMAGE.crop_key]
        assert crop.decode() in {crop.geometry.text for crop in CROPS}
        for record in records(world):
            shown = {world.active[variant.key] for variant in record.variants}
            assert (record.crop, shown) == (crop.decode(), {crop}), f"seed {seed}"


@pytest.mark.parametrize(("publishing", "resizing"), MIXED)
async def test_every_run_ends_with_the_image_public(publishing: Sequence[str], resizing: Sequence[str]) -> None:
    for seed in FEW:
        world = World(seed, 2, publishing=plans(publishing), resizing=plans(resizing))
        await run_and_reconcile(world, "activate", "resize", "resize")


async def test_a_record_that_replaces_another_during_an_activation_is_public_with_its_versions() -> None:
    """At once: nothing is left to the reconciler."""
    for seed in SEEDS:
        world = World(seed, 0, resizing=plans(("today", "other")))
        today, other = world.resizers
        world.resizers = [today]
        world.resize()
        await world.run(lambda: None)
        world.activate()
        await world.run(lambda: None, steps=seed % 15)
        world.suspend()
        world.resizers = [other]
        world.resize()
        await world.run(lambda: None)
        world.resume()
        await world.run(lambda: None)
        assert {record.stage for record in records(world)} == set(Stage)
        for record in records(world):
            assert {variant.key for variant in record.variants} <= set(world.active), f"seed {seed}"


async def test_what_a_killed_rendering_left_behind_replaces_nothing_newer() -> None:
    left = False
    for seed in SEEDS:
        world = World(seed, 0)
        pool: Any = InstantPool("older")
        newer = world.resizers
        world.resizers = [replace(newer[0], renderer=Renderer(pool, PLAN))]
        world.resize()
        await world.run(lambda: None, steps=seed % 5)
        world.suspend()
        world.resizers = newer
        for actor in ("activate", "resize"):
            getattr(world, actor)()
        await world.run(lambda: None)
        world.resume()
        await world.run(lambda: None, steps=seed // 5 % 4)
        await world.stop()
        if any(record_key(IMAGE, stage) in world.incoming for stage in Stage):
            continue  # it was not killed, and is the newer one
        left |= any(content == b"older" for content in world.incoming.values())
        world.reconcile()
        await world.run(lambda: None)
        assert set(world.incoming) == set(), f"seed {seed}"
        assert b"older" not in world.active.values(), f"seed {seed}"
    assert left


@pytest.mark.parametrize(("publishing", "resizing"), MIXED)
async def test_nothing_comes_back(publishing: Sequence[str], resizing: Sequence[str]) -> None:
    for seed in FEW:
        world = World(seed, 2, publishing=plans(publishing), resizing=plans(resizing))
        for together in (("crop_one", "activate", "resize", "delete"), ("sweep",)):
            for actor in together:
                getattr(world, actor)()
            await world.run(lambda: None)
        assert set(world.active) == set(), f"seed {seed}"
        assert set(world.incoming) == {IMAGE.tombstone_key}, f"seed {seed}"


async def test_the_search_notices_a_decision_by_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """To ask again wherever the settings are not one's own never ends."""

    async def by_configuration(event: ThumbnailsReady, publisher_context: PublisherContext) -> bool:
        crop = await read_crop(publisher_context.buckets.active, event.subject)
        return event.data.configuration == publisher_context.plan.configuration(event.data.stage, crop)

    monkeypatch.setattr("publisher.handlers._is_crop_in_place", by_configuration)
    with pytest.raises(AssertionError, match="events without end"):
        await run_and_reconcile(World(0, 0, resizing=OTHERS[:1]), "crop_one", "resize")


async def test_the_search_notices_a_decision_by_the_record_in_active_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Uncropped versions may have come over it: an event that does not show the crop has to ask again."""

    async def by_record(event: ThumbnailsReady, publisher_context: PublisherContext) -> bool:
        crop = await read_crop(publisher_context.buckets.active, event.subject)
        record = await read_record(publisher_context.buckets.active, event.subject, Stage.BASE)
        return crop is not None and record is not None and record.crop == crop.geometry.text

    monkeypatch.setattr("publisher.handlers._is_crop_in_place", by_record)
    for seed in FAR:
        world = World(seed, 2)
        for actor in ("crop_one", "activate", "resize"):
            getattr(world, actor)()
        await world.run(lambda: None)
        shown = {world.active[key] for stage in Stage for key in PLAN.variant_keys(IMAGE, stage)}
        if shown != {world.active[IMAGE.crop_key]} or world.incoming:
            return
    pytest.fail("not noticed")
