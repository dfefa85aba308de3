"""An S3 server whose listings are out of date: no look at everything removes what is there by now."""

import asyncio
from pathlib import Path

from tests.support.commands import put
from tests.support.deployment import keys
from tests.support.s3 import TestBuckets
from tests.support.store_faults import proxy_to, through
from tests.support.stores import s3_pair

from common.images.names import ImageKey
from common.images.plan import Plan
from common.images.sizes import parse_sizes
from common.messaging.embedded import EmbeddedBus
from common.messaging.outbox import Outbox
from common.storage.base import Buckets
from common.storage.s3 import connect
from publisher.activation import activate
from publisher.context import PublisherContext
from publisher.maintenance.sweep import Sweep

PLAN = Plan(parse_sizes(None))
ACTIVATED, LATE = ImageKey.parse("1475660224_1.jpg"), ImageKey.parse("1475660224_2.jpg")
TTL = 4.0


def publisher(buckets: Buckets, ttl: float) -> PublisherContext:
    bus = EmbeddedBus()
    return PublisherContext(buckets=buckets, bus=bus, outbox=Outbox(bus), plan=PLAN, ttl=ttl)


async def sweep(buckets: Buckets, seen: Buckets) -> set[str]:
    """The images that the listings say are to be looked at; then each is swept.

    Before each step the late one is uploaded: it is young, however long the steps take.
    """
    sweeping = Sweep(publisher(buckets, TTL), Path(), grace=0.0)
    await seen.incoming.put(str(LATE), b"photo")
    candidates = [candidate async for candidate in sweeping.candidates(thorough=True)]
    for candidate in candidates:
        await seen.incoming.put(str(LATE), b"photo")
        await sweeping.process(candidate)
    return {candidate.listed.name for candidate in candidates}


async def test_a_sweep_by_old_pages_removes_nothing_that_is_public_or_young(
    s3_buckets: TestBuckets, tmp_path: Path
) -> None:
    async with (
        connect(s3_buckets.account) as client,
        proxy_to(s3_buckets) as proxy,
        through(proxy, s3_buckets, tmp_path) as buckets,
    ):
        seen = s3_pair(client, s3_buckets.account, s3_buckets, tmp_path)
        await put(seen.incoming, str(ACTIVATED), ACTIVATED.variant_key("BI"), LATE.variant_key("BI"))
        await asyncio.sleep(TTL + 1)
        assert await keys(buckets.incoming)
        assert not await keys(buckets.active)
        proxy.repeat_listings()
        await activate(ACTIVATED, context=publisher(seen, 3600.0))
        public = await keys(seen.active)
        assert str(ACTIVATED) in public
        assert await sweep(buckets, seen) == {ACTIVATED.name, LATE.name}, "by the old pages both have expired"
        assert await keys(seen.active) == public
        assert await keys(seen.incoming) == {str(LATE), LATE.variant_key("BI")}
        proxy.leave()
        await sweep(buckets, seen)
        assert await keys(seen.active) == public
        assert await keys(seen.incoming) == {str(LATE), LATE.variant_key("BI")}
