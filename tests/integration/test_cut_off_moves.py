"""A move to the public bucket that was cut off: whatever finishes it announces the change, and streams tell it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from tests.support.steered import Backend, never_looking, sweep, told

from common.images.names import ImageKey
from common.messaging.embedded import EmbeddedBus
from publisher.audit.findings import FindingClass, PossibleFinding
from publisher.audit.verification import Verification
from publisher.maintenance.reconciler import Reconciler

# By default aiohttp itself has nobody see it.
pytestmark = pytest.mark.filterwarnings("ignore::aiohttp.web.NotAppKeyWarning")

READY_WHOLE, WHOLE = ("ready", "base modern", False), ("active", "base modern", True)


@pytest.fixture
async def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Backend]:
    async with never_looking(EmbeddedBus((0.05,)), tmp_path, monkeypatch) as backend:
        yield backend


async def reconcile(site: Backend) -> None:
    folder = site.settings.temp_folder
    await Reconciler(
        site.publisher_context, after=0, interval=1, repair_all_at_start=False, temporary=folder
    ).repair_incoming()


async def repair(site: Backend) -> None:
    left = [entry.key async for entry in site.incoming.entries()]
    image = next(ImageKey.parse(f"{key[:-5]}.jpg") for key in left if key.endswith(".json") and "modern" not in key)
    possible = PossibleFinding(FindingClass.NOT_MOVED, image, frozenset(left))
    await Verification(site.buckets, site.settings.plan, site.publisher_context).verify(possible)


@pytest.mark.parametrize("finish", [sweep, reconcile, repair])
@pytest.mark.parametrize("original_left", [True, False])
async def test_a_move_that_was_cut_off_is_told_when_it_is_finished(
    site: Backend, finish: Callable[[Backend], Awaitable[None]], *, original_left: bool
) -> None:
    stream = await site.follow(await site.upload())
    await told(stream, READY_WHOLE)
    if original_left:
        await site.active.copy_from(site.incoming, stream.image)
    else:
        await site.public_by_hand(stream.image)
    await finish(site)
    await told(stream, READY_WHOLE, WHOLE)
