"""An activation waits for variants that are still being made, and for nothing else."""

import asyncio
from pathlib import Path

import pytest
from tests.support.every_call import CALLS, PLAN, Site, upload
from tests.support.memory import MemoryStorage

from common.images.names import ImageKey
from common.images.records import Stage
from common.storage.base import Buckets
from publisher.activation import activate

_WAIT = 2.0


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _uploaded(folder: Path) -> tuple[Site, ImageKey]:
    site = Site(folder, Buckets(MemoryStorage(_now), MemoryStorage(_now)))
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
