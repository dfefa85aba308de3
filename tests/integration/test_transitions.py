"""Every change of an image's status is announced by an event: streams tell it that never look by themselves."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from tests.support.bus import opened
from tests.support.eventually import eventually
from tests.support.pictures import png_header
from tests.support.rabbitmq import VirtualHost
from tests.support.steered import Backend, never_looking, sweep, told

from common.errors import Defect
from common.images.names import ImageKey
from common.messaging.bus import Bus
from common.messaging.embedded import EmbeddedBus
from common.messaging.events import ThumbnailsRequested

# By default aiohttp itself has nobody see it.
pytestmark = pytest.mark.filterwarnings("ignore::aiohttp.web.NotAppKeyWarning")

DELAYS = (0.05,)
BASE, MODERN = "SI.jpg", "SI.webp"


PROCESSING, READY, READY_WHOLE = ("processing", "", False), ("ready", "base", False), ("ready", "base modern", False)
BARE, ACTIVE, WHOLE = ("active", "", False), ("active", "base", False), ("active", "base modern", True)
FAILED, GONE = ("failed", "base", True), ("unknown", "", True)

Transition = Callable[[Backend], Awaitable[None]]
TRANSITIONS: dict[str, Transition] = {}


def transition(walk: Transition) -> Transition:
    TRANSITIONS[walk.__name__] = walk
    return walk


@transition
async def rendered_then_published(site: Backend) -> None:
    site.incoming.hold(BASE)
    stream = await site.follow(await site.upload())
    site.incoming.hold(MODERN)
    await told(stream, PROCESSING, READY)
    site.incoming.release()
    await told(stream, READY, READY_WHOLE)
    await site.call("/publish", filename=stream.image)
    await told(stream, PROCESSING, READY, READY_WHOLE, WHOLE)


@transition
async def failed(site: Backend) -> None:
    site.incoming.hold(".json")
    stream = await site.follow(await site.upload(png_header(500, 400)))
    site.incoming.release()
    await told(stream, PROCESSING, FAILED)


@transition
async def given_up(site: Backend) -> None:
    site.incoming.refuses, site.incoming.fault = (BASE,), Defect  # an outage would be sat out
    site.incoming.hold(".json")
    stream = await site.follow(await site.upload())
    site.incoming.release()
    await told(stream, PROCESSING, FAILED)


@transition
async def base_versions_follow_late(site: Backend) -> None:
    site.incoming.hold(BASE)
    site.active.hold(MODERN)
    stream = await site.follow(await site.upload())
    await site.has(site.incoming, f"{stream.image[:-4]}MI.jpg")
    await site.call("/publish", filename=stream.image)
    await told(stream, PROCESSING, BARE)
    site.incoming.release()
    await told(stream, PROCESSING, BARE, ACTIVE)
    site.active.release()
    await told(stream, PROCESSING, BARE, ACTIVE, WHOLE)


@transition
async def modern_versions_follow_late(site: Backend) -> None:
    site.incoming.hold(MODERN)
    stream = await site.follow(await site.upload())
    await site.has(site.incoming, f"{stream.image[:-4]}MI.webp")
    await site.call("/publish", filename=stream.image)
    await told(stream, ACTIVE)
    site.incoming.release()
    await told(stream, ACTIVE, WHOLE)


@transition
async def a_failure_follows_late(site: Backend) -> None:
    site.incoming.hold(".json")
    stream = await site.follow(await site.upload(png_header(500, 400)))
    await site.call("/publish", filename=stream.image)
    await told(stream, PROCESSING, BARE)
    site.incoming.release()
    await told(stream, PROCESSING, BARE, FAILED)


@transition
async def cropped(site: Backend) -> None:
    name = await site.upload()
    await site.has(site.incoming, f"{name[:-4]}.modern.json")
    site.active.hold(MODERN)
    stream = await site.follow(name)
    await site.call("/publish", filename=name, crop="100x80+10+10")
    await told(stream, READY_WHOLE, ACTIVE)
    site.active.release()
    await told(stream, READY_WHOLE, ACTIVE, WHOLE)


@transition
async def cropped_while_uncropped_versions_were_on_their_way(site: Backend) -> None:
    site.incoming.hold(MODERN)
    stream = await site.follow(await site.upload())
    await site.has(site.incoming, f"{stream.image[:-4]}MI.webp")
    await site.call("/publish", filename=stream.image, crop="100x80+10+10")
    site.incoming.release()
    await told(stream, WHOLE)


@transition
async def requested_anew(site: Backend) -> None:
    site.incoming.hold(MODERN)
    stream = await site.follow(await site.upload())
    site.incoming.refuses = (".webp",)
    await told(stream, READY)
    await site.public_by_hand(stream.image)
    for key in (f"{stream.image[:-4]}{end}" for end in ("BI.jpg", "MI.jpg", "SI.jpg", ".json")):
        await site.active.copy_from(site.incoming, key)
    await site.bus.publish(ThumbnailsRequested(source="/test", subject=ImageKey.parse(stream.image)))
    await told(stream, READY, WHOLE)


@transition
async def deleted(site: Backend) -> None:
    stream = await site.follow(await site.upload())
    await site.call("/delete", filenames=stream.image)
    await told(stream, GONE)


@transition
async def deleted_but_for_what_the_store_keeps(site: Backend) -> None:
    stream = await site.follow(await site.upload())
    await told(stream, READY_WHOLE)
    site.incoming.refuses = (BASE,)
    await site.call("/delete", filenames=stream.image, status=503)
    await told(stream, GONE)


@transition
async def rotated(site: Backend) -> None:
    site.incoming.hold(MODERN)
    stream = await site.follow(await site.upload())
    await site.has(site.incoming, f"{stream.image[:-4]}MI.webp")
    await site.call("/publish", filename=stream.image)
    await told(stream, ACTIVE)
    await site.call("/rotate", filename=stream.image)
    await told(stream, ACTIVE, GONE)


@transition
async def an_edit_that_is_given_up(site: Backend) -> None:
    name = await site.upload()
    await site.has(site.incoming, f"{name[:-4]}.modern.json")
    await site.call("/publish", filename=name)
    site.active.hold(".json")
    rotating = asyncio.create_task(site.call("/rotate", filename=name, status=503))

    async def new() -> str | None:
        there = [entry.key async for entry in site.active.entries() if entry.key.endswith(".jpg")]
        return next((key for key in there if "I." not in key and key != name), None)

    stream = await site.follow(str(await eventually(new, "the new key")))
    await rotating
    await told(stream, BARE, GONE)


@transition
async def expired(site: Backend) -> None:
    stream = await site.follow(await site.upload())
    await told(stream, READY_WHOLE)
    await sweep(site)
    await told(stream, READY_WHOLE, GONE)


@pytest.fixture(params=["embedded", "rabbitmq"])
async def site(
    request: pytest.FixtureRequest, walk: Transition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Backend]:
    async with AsyncExitStack() as stack:
        bus: Bus = EmbeddedBus(DELAYS)
        if request.param == "rabbitmq":
            vhost = await stack.enter_async_context(VirtualHost.fresh())
            bus = await stack.enter_async_context(opened(vhost.url, DELAYS))
        edit_wait = 5 if walk is an_edit_that_is_given_up else 60
        yield await stack.enter_async_context(never_looking(bus, tmp_path, monkeypatch, edit_wait))


@pytest.mark.parametrize("walk", TRANSITIONS.values(), ids=TRANSITIONS)
async def test_every_change_is_told(site: Backend, walk: Transition) -> None:
    await walk(site)
