"""An S3 server that is away for longer than all retries take together: all is done in the end."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.support.bus import opened
from tests.support.deployment import keys
from tests.support.eventually import eventually
from tests.support.instant_pool import InstantPool
from tests.support.rabbitmq import VirtualHost
from tests.support.s3 import TestBuckets
from tests.support.store_faults import OUTAGES, SILENCE, Act, proxy_to, through
from tests.support.stores import s3_pair

from common.images.names import ImageKey
from common.images.plan import Plan
from common.images.records import Stage
from common.images.sizes import parse_sizes
from common.messaging.bus import Bus, Subscription
from common.messaging.events import ActivationRequested, Event, ImageUploaded, ThumbnailsFailed, ThumbnailsReady
from common.messaging.outbox import Outbox
from common.messaging.topology import PUBLISHER, RESIZER_LIVE
from common.storage.base import Buckets
from common.storage.s3 import connect
from publisher.context import PublisherContext
from publisher.handlers import activation_requested, thumbnails_failed, thumbnails_ready
from resizer.handlers import image_uploaded, retries_exhausted
from resizer.rendering import Renderer
from resizer.thumbnails import ResizerContext

DELAYS = (0.1,)  # an event of which two attempts fail is dead-lettered, unless it is the store that fails
ATTEMPTS = 3
PLAN = Plan(parse_sizes(None))
IMAGES = [ImageKey.parse(f"1475660224_{number}.jpg") for number in range(3)]
EVERYTHING = {
    key for image in IMAGES for key in (str(image), f"{image.name}.json", *PLAN.variant_keys(image, Stage.BASE))
}


class Counting:
    """A handler that counts the attempts at each event."""

    def __init__(self, attempts: Counter[str], handler: Callable[..., Awaitable[None]]) -> None:
        self._attempts = attempts
        self._handler = handler

    async def __call__(self, event: Event) -> None:
        self._attempts[event.id] += 1
        await self._handler(event)


def subscriptions(bus: Bus, buckets: Buckets, attempts: Counter[str]) -> list[Subscription]:
    """Those of a resizer, whose decoders take no time, and of a publisher."""
    pool: Any = InstantPool()
    resizing = ResizerContext(buckets, bus, Renderer(pool, PLAN))
    publishing = PublisherContext(buckets=buckets, bus=bus, outbox=Outbox(bus), plan=PLAN, ttl=3600.0)

    def counted(handler: Callable[..., Awaitable[None]], context: object) -> Counting:
        return Counting(attempts, partial(handler, context=context))

    return [
        Subscription(
            RESIZER_LIVE,
            {ImageUploaded: counted(image_uploaded, resizing)},
            slots=6,
            deadline=60,
            retries_exhausted=partial(retries_exhausted, context=resizing),
        ),
        Subscription(
            PUBLISHER,
            {
                ActivationRequested: counted(activation_requested, publishing),
                ThumbnailsReady: counted(thumbnails_ready, publishing),
                ThumbnailsFailed: counted(thumbnails_failed, publishing),
            },
            slots=6,
            deadline=60,
        ),
    ]


@asynccontextmanager
async def direct(buckets: TestBuckets, folder: Path) -> AsyncIterator[Buckets]:
    async with connect(buckets.account) as client:
        yield s3_pair(client, buckets.account, buckets, folder)


@pytest.mark.parametrize(("begin", "end"), OUTAGES, ids=lambda act: act.__name__)
async def test_no_event_is_used_up_and_all_is_public_in_the_end(
    vhost: VirtualHost,
    s3_buckets: TestBuckets,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    begin: Act,
    end: Act,
) -> None:
    monkeypatch.setattr("common.storage.s3.account._SILENCE_SECONDS", SILENCE)
    attempts: Counter[str] = Counter()
    events = [kind(source="/test", subject=image) for image in IMAGES for kind in (ImageUploaded, ActivationRequested)]
    async with (
        direct(s3_buckets, tmp_path) as seen,
        proxy_to(s3_buckets) as proxy,
        through(proxy, s3_buckets, tmp_path) as buckets,
        opened(vhost.url, DELAYS) as bus,
    ):
        for image in IMAGES:
            await seen.incoming.put(str(image), b"photo")
        await begin(proxy)
        await bus.consume(subscriptions(bus, buckets, attempts))
        await asyncio.gather(*(bus.publish(event) for event in events))

        async def longer_than_all_retries() -> bool:
            return all(attempts[event.id] >= ATTEMPTS for event in events)

        await eventually(longer_than_all_retries, "an outage longer than all retries take")
        await end(proxy)

        async def all_public() -> bool:
            return await keys(seen.active) == EVERYTHING and not await keys(seen.incoming)

        await eventually(all_public, "all images, whole and public")
        for queue in (RESIZER_LIVE, PUBLISHER):
            assert await bus.dead_letters(queue) == []
        for image in IMAGES:
            assert await seen.active.get(str(image)) == b"photo"
