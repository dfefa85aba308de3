"""Two buckets that are one after all: whatever is to be moved from the one to the other stays as it is."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.s3 import TestBuckets
from tests.support.stores import s3_pair

from common.errors import StorageFault
from common.images.names import ImageKey
from common.images.plan import Plan
from common.images.records import OriginalInfo, Record, Stage, Variant, encode_record, record_key
from common.images.sizes import parse_sizes
from common.messaging.embedded import EmbeddedBus
from common.messaging.events import StageData, ThumbnailsReady
from common.messaging.outbox import Outbox
from common.storage.base import Buckets
from common.storage.local import LocalStorage
from common.storage.s3 import connect
from publisher.activation import activate
from publisher.context import PublisherContext
from publisher.handlers import thumbnails_ready
from publisher.maintenance.repairs import finish_move

IMAGE = ImageKey.parse("1475660224_0882910455.jpg")
PLAN = Plan(parse_sizes(None))


@pytest.fixture(params=["a folder", "a link to it", "a bucket", "a bucket at two addresses"])
async def one_place(request: pytest.FixtureRequest, s3_buckets: TestBuckets, tmp_path: Path) -> AsyncIterator[Buckets]:
    if "bucket" not in request.param:
        (tmp_path / "images").mkdir()
        (tmp_path / "link").symlink_to("images")
        other = "link" if "link" in request.param else "images"
        yield Buckets(LocalStorage.open(tmp_path / "images"), LocalStorage.open(tmp_path / other))
        return
    one = replace(s3_buckets, active=s3_buckets.incoming)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(connect(s3_buckets.account))
        buckets = s3_pair(client, s3_buckets.account, one, tmp_path)
        if "addresses" in request.param:
            account = replace(s3_buckets.account, endpoint=s3_buckets.endpoint.replace("127.0.0.1", "localhost"))
            client = await stack.enter_async_context(connect(account))
            buckets = Buckets(buckets.incoming, s3_pair(client, account, one, tmp_path).active)
        yield buckets


def record() -> Record:
    variants = [
        Variant(key=key, format="jpg", width=1, height=1, bytes=1) for key in PLAN.variant_keys(IMAGE, Stage.BASE)
    ]
    return Record(
        configuration=PLAN.configuration(Stage.BASE),
        original=OriginalInfo(key=IMAGE, format="jpg", width=1, height=1, bytes=1, frames=1),
        variants=tuple(variants),
    )


async def publish(publisher_context: PublisherContext) -> None:
    await activate(IMAGE, context=publisher_context)


async def follow(publisher_context: PublisherContext) -> None:
    data = StageData(stage=Stage.BASE, configuration=PLAN.configuration(Stage.BASE))
    event = ThumbnailsReady(source="/resizer", subject=IMAGE, data=data)
    await thumbnails_ready(event, context=publisher_context)


async def finish(publisher_context: PublisherContext) -> None:
    await finish_move(IMAGE, [f"{IMAGE.name}XX.jpg"], context=publisher_context)


@pytest.mark.parametrize("move", [publish, follow, finish])
@pytest.mark.parametrize("exclusive", [True, False], ids=["uploaded", "of an earlier version"])
async def test_nothing_is_lost(
    one_place: Buckets, move: Callable[[PublisherContext], Awaitable[None]], tmp_path: Path, *, exclusive: bool
) -> None:
    (tmp_path / "upload").write_bytes(b"the only copy")
    await one_place.incoming.put_file(str(IMAGE), tmp_path / "upload", exclusive=exclusive)
    for key in PLAN.variant_keys(IMAGE, Stage.BASE) | {f"{IMAGE.name}XX.jpg"}:
        await one_place.incoming.put(key, b"x")
    await one_place.incoming.put(record_key(IMAGE, Stage.BASE), encode_record(record()))
    before = {entry.key async for entry in one_place.incoming.entries()}
    bus = EmbeddedBus()
    publisher_context = PublisherContext(buckets=one_place, bus=bus, outbox=Outbox(bus), plan=PLAN, ttl=3600)
    with pytest.raises(StorageFault, match=r"in both buckets|onto itself"):
        await move(publisher_context)
    assert {entry.key async for entry in one_place.incoming.entries()} == before
    assert await one_place.active.get(str(IMAGE)) == b"the only copy"
