"""An activation waits for variants that are still being made, and for nothing else."""

import asyncio
from pathlib import Path

import pytest
from tests.support.every_call import CALLS, PLAN, Site, upload
from tests.support.memory import MemoryStorage

from common.images.names import ImageKey
from common.images.records import Stage
from common.storage.base import Buckets, Entry
from publisher.activation import activate
from publisher.errors import ImageUnknown

_WAIT = 2.0


def _now() -> float:
    return asyncio.get_running_loop().time()


class Counting(MemoryStorage):
    """A bucket that counts looks."""

    looks = 0

    async def get(self, key: str) -> bytes:
        self.looks += 1
        return await super().get(key)

    async def stat(self, key: str) -> Entry | None:
        self.looks += 1
        return await super().stat(key)


async def _uploaded(folder: Path) -> tuple[Site, ImageKey]:
    site = Site(folder, Buckets(Counting(_now), Counting(_now)))
    return site, await upload(site)


async def _activate(site: Site, image: ImageKey) -> float:
    """Activate the image. Returns how many seconds that took."""
    began = _now()
    await activate(image, context=site.publisher_context, wait=_WAIT)
    return _now() - began


async def test_variants_that_are_still_being_made_become_public_with_their_original(tmp_path: Path) -> None:
    site, image = await _uploaded(tmp_path)
    activation = asyncio.create_task(_activate(site, image))
    await asyncio.sleep(1)
    await CALLS["render"].step(site, image)
    assert await activation < _WAIT
    for key in PLAN.variant_keys(image, Stage.BASE):
        assert await site.buckets.active.stat(key) is not None


@pytest.mark.parametrize(("age", "wait"), [(0.0, 2.0), (1.5, 0.5), (3.0, 0.0)])
async def test_variants_that_do_not_come_are_waited_for_until_the_upload_has_its_age(
    tmp_path: Path, age: float, wait: float
) -> None:
    site, image = await _uploaded(tmp_path)
    await asyncio.sleep(age)
    assert await _activate(site, image) == pytest.approx(wait, abs=0.06)


async def test_nothing_is_waited_for_when_the_variants_are_there(tmp_path: Path) -> None:
    site, image = await _uploaded(tmp_path)
    await CALLS["render"].step(site, image)
    assert await _activate(site, image) == 0


async def test_waiting_asks_for_hardly_more_than_the_record(tmp_path: Path) -> None:
    """20 looks a second for the record, and a few at the rest of the image: it was three times as many."""
    site, image = await _uploaded(tmp_path)
    await asyncio.sleep(_WAIT)
    await _activate(site, image)  # without waiting
    at_once = _looks(site)
    site, image = await _uploaded(tmp_path / "waiting")
    await _activate(site, image)
    assert at_once + 40 <= _looks(site) <= at_once + 40 + 16


def _looks(site: Site) -> int:
    incoming, active = site.buckets.incoming, site.buckets.active
    assert isinstance(incoming, Counting)
    assert isinstance(active, Counting)
    return incoming.looks + active.looks


async def test_several_activations_that_wait_are_all_answered_when_the_variants_are_there(tmp_path: Path) -> None:
    site, image = await _uploaded(tmp_path)
    activations = []
    for _ in range(5):
        activations.append(asyncio.create_task(_activate(site, image)))
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    await CALLS["render"].step(site, image)
    rendered = _now()
    await asyncio.gather(*activations)
    assert _now() - rendered < 1


async def test_an_activation_that_waits_is_refused_when_its_image_is_deleted(tmp_path: Path) -> None:
    site, image = await _uploaded(tmp_path)
    activation = asyncio.create_task(_activate(site, image))
    await asyncio.sleep(0.1)
    await CALLS["delete"].step(site, image)
    deleted = _now()
    with pytest.raises(ImageUnknown, match="deleted"):
        await activation
    assert _now() - deleted < 1
