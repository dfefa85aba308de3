"""Public images rendered again with other settings: which variants are there afterwards, whoever died.

Whatever replicas with different settings do at the same time, each record's variants are public. Variants that the last
record does not list are gone, or the record names them all the same.
"""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from tests.simulation.test_settings_that_differ import PLANS, records
from tests.support.world import FAR, IMAGE, SEEDS, World

from common.errors import Transient
from common.images.names import ImageKey
from common.jobs.bulk_rendering import BulkRendering
from common.messaging.events import ImageUploaded
from common.storage.base import Storage
from common.storage.image_store import StoredRecord, WrittenRecord, read_record, write_record
from resizer import replacement
from resizer.handlers import retries_exhausted

pytestmark = pytest.mark.explores

Patch = pytest.MonkeyPatch
MIXED = [("today", "other"), ("today", "base"), tuple(PLANS)]
FEW = SEEDS[: len(SEEDS) // 5]


class Site:
    """A world with one image, and resizers with each of the settings."""

    def __init__(self, seed: int) -> None:
        self.world = World(seed, 0, resizing=list(PLANS.values()))
        self._resizers = dict(zip(PLANS, self.world.resizers, strict=True))

    async def run(
        self, settings: Sequence[str], *actors: str, crashes: int = 0, step: Callable[[], None] = lambda: None
    ) -> None:
        """Run these at once. Resizers with these settings render, and some processes are killed."""
        self.world.resizers = [self._resizers[name] for name in settings]
        self.world.crashes = crashes
        for actor in actors:
            getattr(self.world, actor)()
        await self.world.run(step)

    async def give_up(self, settings: str) -> None:
        """The retries of a rendering with these settings are exhausted."""
        event = ImageUploaded(source="/test", subject=IMAGE)
        context = self._resizers[settings]
        self.world.start(lambda: retries_exhausted(event, Transient("the machine failed"), context=context))
        await self.world.run(lambda: None)

    async def remove_records(self, settings: str) -> None:
        """`resize` with these settings begins with the image once more."""
        bus: Any = self.world
        plan = PLANS[settings]
        rendering = BulkRendering(self.world.buckets, bus, plan, "/test")
        self.world.start(lambda: rendering.remove_records(IMAGE, plan.stages, finished=True), name="resize")
        await self.world.run(lambda: None)

    def assert_whole(self) -> None:
        """Every variant that a record lists is there."""
        assert self.lacking() == set()

    def lacking(self) -> set[str]:
        """Variants that a record lists, and that are not there."""
        return {key for record in records(self.world) for key in record.listed_keys(IMAGE)} - set(self.world.active)

    def unlisted(self) -> set[str]:
        """Variants that are there, and that no record lists."""
        listed = {key for record in records(self.world) for key in record.listed_keys(IMAGE)}
        beside = {str(IMAGE), IMAGE.crop_key}
        return {key for key in self.world.active if not key.endswith(".json")} - listed - beside


async def public_site(seed: int, settings: str, *more: str) -> Site:
    """The image is public, with variants of these settings."""
    site = Site(seed)
    await site.run((settings,), "activate", "resize", *more)
    return site


async def rendered_by_replicas_that_differ(seed: int, settings: Sequence[str], *before: str) -> Site:
    site = await public_site(seed, settings[seed % len(settings)], *before)
    await site.run(settings, *["resize"] * 4, crashes=seed % 3)
    return site


@pytest.mark.parametrize("before", [(), ("crop_one",)])
@pytest.mark.parametrize("settings", MIXED)
async def test_the_last_record_has_its_variants(settings: Sequence[str], before: Sequence[str]) -> None:
    for seed in FEW:
        site = await rendered_by_replicas_that_differ(seed, settings, *before)
        assert site.lacking() == set(), f"seed {seed}"


async def test_a_record_that_is_moved_over_another_has_its_variants() -> None:
    for seed in FEW:
        site = await public_site(seed, "today")
        site.world.incoming.update(site.world.active)  # as a move that was cut off before it deleted
        await site.run(("other", "today"), "activate", "activate", "resize", crashes=seed % 3)
        assert site.lacking() == set(), f"seed {seed}"


@pytest.mark.parametrize("before", [(), ("crop_one",)])
async def test_replaced_variants_go_after_the_record_whoever_is_killed(before: Sequence[str]) -> None:
    for seed in FEW:
        site = await public_site(seed, "today", *before)
        await site.run(("other",), "resize", "resize", crashes=2, step=site.assert_whole)
        assert site.unlisted() == set(), f"seed {seed}"


async def test_a_failure_removes_nothing_and_its_record_names_what_is_public() -> None:
    site = await public_site(0, "other")
    public = set(site.world.active)
    await site.give_up("base")
    assert set(site.world.active) == public
    await site.run((), "delete")
    assert site.world.active == {}, "the settings of the deletion do not have these sizes"


async def test_what_only_a_failure_names_goes_when_the_rendering_is_repeated() -> None:
    site = await public_site(0, "other")
    await site.give_up("base")
    await site.remove_records("base")
    await site.run(("base",), "resize")
    assert site.unlisted() == set()


async def all_are_there(*_: object) -> bool:
    return True


async def lists_none(*_: object) -> bool:
    return False


@pytest.mark.parametrize(("look", "blind"), [("_all_are_there", all_are_there), ("_lists_any", lists_none)])
async def test_the_search_notices_a_look_that_is_left_out(
    look: str, blind: Callable[..., object], monkeypatch: Patch
) -> None:
    monkeypatch.setattr(replacement, look, blind)
    for seed in FAR:
        if (await rendered_by_replicas_that_differ(seed, ("today", "other"))).lacking():
            return
    pytest.fail("not noticed")


async def test_the_search_notices_variants_that_go_before_the_record(monkeypatch: Patch) -> None:
    async def remove_and_write(bucket: Storage, image: ImageKey, new: StoredRecord) -> WrittenRecord:
        there = await read_record(bucket, image, new.record.stage)
        if there is not None:
            await bucket.delete_all(there.listed_keys(image) - new.record.listed_keys(image))
        return await write_record(bucket, image, new)

    monkeypatch.setattr("resizer.thumbnails.write_record", remove_and_write)
    site = await public_site(0, "today")
    with pytest.raises(AssertionError):
        await site.run(("other",), "resize", step=site.assert_whole)
    await site.world.stop()
