"""What `GET /events` tells, and what it asks of the store for it. No time passes here but by the test's own hand."""

import asyncio
import random
from contextlib import AsyncExitStack, aclosing
from pathlib import Path

import pytest
from tests.support.eventually import eventually
from tests.support.status_streams import IMAGE, OTHER, PLAN, RECORD, StreamSite, all_told, states

from common.errors import StorageFault
from common.images.names import ImageKey
from common.images.records import Record, Stage, encode_record, record_key
from common.storage.status import State, Status, read_status

LADDER = [5, 10, 20, 40, 60, 60]


@pytest.fixture
async def site(tmp_path: Path) -> StreamSite:
    site = StreamSite(tmp_path)
    for image in (IMAGE, OTHER):
        await site.incoming.put(str(image), b"original")
    return site


@pytest.mark.parametrize("count", [1, 2, 10, 50])
async def test_one_look_serves_all_streams_of_an_image(site: StreamSite, count: int) -> None:
    async with site.streams(count) as told:
        assert site.looks() <= 2, "what comes while a look is under way is served by the next"
        before = site.looks()
        await site.incoming.put(record_key(IMAGE, Stage.BASE), RECORD)
        site.tell()
        await all_told(told, 2)
        assert site.looks() == before + 1
        await site.clock.passes()
        assert site.looks() == before + 2
        assert states(told) == {("processing", "ready")}
    assert site.looks(OTHER) == 0


async def test_without_news_the_looks_become_rarer(site: StreamSite) -> None:
    async with site.streams(3):
        looks = site.looks()
        for step in range(len(LADDER)):
            assert site.clock.pauses[-1] == LADDER[step]
            await site.clock.passes()
        assert site.looks() == looks + len(LADDER)


async def test_news_is_told_at_once_however_rare_the_looks_are_and_makes_them_frequent(site: StreamSite) -> None:
    async with site.streams(2) as told:
        for _ in LADDER:
            await site.clock.passes()
        assert site.clock.pauses[-1] == LADDER[-1]
        await site.incoming.put(record_key(IMAGE, Stage.BASE), RECORD)
        pauses = len(site.clock.pauses)
        site.tell()
        await all_told(told, 2)
        await site.clock.pausing(pauses + 1)
        assert site.clock.pauses[-1] == LADDER[0]
        await site.clock.passes()
        assert site.clock.pauses[-1] == LADDER[1]


async def test_what_no_news_told_of_is_found_by_the_next_look(site: StreamSite) -> None:
    async with site.streams(2) as told:
        await site.clock.passes()
        await site.clock.passes()
        await site.incoming.put(record_key(IMAGE, Stage.BASE), RECORD)
        await site.clock.passes()
        await all_told(told, 2)
        assert site.clock.pauses[-1] == LADDER[0], "where news is lost, more may be"
    assert states(told) == {("processing", "ready")}


async def test_news_that_comes_during_a_look_leads_to_another(site: StreamSite) -> None:
    async with site.streams(2) as told:
        await site.clock.pausing(1)
        site.active.open_door.clear()  # it is asked last, when *incoming* has been read
        await site.incoming.delete(str(IMAGE))
        site.tell()

        async def reading() -> bool:
            return site.active.times(str(IMAGE)) > 0

        await eventually(reading, "a look that is under way")
        await site.incoming.put(IMAGE.tombstone_key, b"")
        await site.active.put(str(IMAGE), b"original")
        site.tell()
        site.active.open_door.set()
        await all_told(told, 3)
    assert states(told) == {("processing", "active", "unknown")}


async def test_who_comes_later_is_told_what_is_there_by_then(site: StreamSite) -> None:
    async with site.streams(1) as told:
        await site.incoming.put(record_key(IMAGE, Stage.BASE), RECORD)  # and its news is lost
        async with site.streams(1) as later:
            assert states(later) == {("ready",)}
        await all_told(told, 2)


async def test_a_slow_client_holds_nobody_up_and_gets_the_last_word(site: StreamSite) -> None:
    async with aclosing(site.status_streams.follow(IMAGE)) as slow:
        assert (await anext(slow)).state is State.PROCESSING  # type: ignore[union-attr]
        async with site.streams(2) as told:
            await site.incoming.put(record_key(IMAGE, Stage.BASE), RECORD)
            site.tell()
            await all_told(told, 2)
            await site.incoming.put(IMAGE.tombstone_key, b"")
            site.tell()
            await all_told(told, 3)
        assert states(told) == {("processing", "ready", "unknown")}
        await site.incoming.delete(IMAGE.tombstone_key)
        async with site.streams(1) as anew:
            assert states(anew) == {("ready",)}, "what a stream still has to take is not told to another"
        assert [(await anext(slow)).state] == [State.UNKNOWN]  # type: ignore[union-attr]
        with pytest.raises(StopAsyncIteration):
            await anext(slow)
    assert (site.status_streams.count, site.status_streams.count_of(IMAGE)) == (0, 0)


async def test_nobody_looks_for_those_who_have_left(site: StreamSite) -> None:
    async with site.streams(3):
        assert (site.status_streams.count, site.status_streams.count_of(IMAGE)) == (3, 3)
        site.incoming.open_door.clear()  # they leave in the middle of a look
        site.tell()
    site.incoming.open_door.set()
    assert (site.status_streams.count, site.status_streams.count_of(IMAGE)) == (0, 0)
    looks = site.looks()
    site.tell()
    async with site.streams(1, OTHER):
        await site.clock.passes()
    assert site.looks() == looks


async def test_when_the_service_stops_all_streams_end(site: StreamSite) -> None:
    following = [asyncio.create_task(drained(site, image)) for image in (IMAGE, IMAGE, OTHER)]
    await eventually(lambda: answer(site.status_streams.count == 3 and bool(site.looks(OTHER))), "three streams")
    site.status_streams.close()
    await asyncio.wait_for(asyncio.gather(*following), 60)
    await asyncio.wait_for(drained(site, IMAGE), 60)  # what comes then ends at once
    assert site.status_streams.count == 0


async def test_a_look_that_fails_ends_the_streams_that_it_was_for(site: StreamSite) -> None:
    async with site.streams(1, OTHER) as others:
        following = [asyncio.create_task(drained(site, IMAGE)) for _ in range(3)]
        await eventually(
            lambda: answer(site.status_streams.count_of(IMAGE) == 3 and bool(site.looks())), "three streams"
        )
        site.incoming.away.add(IMAGE.tombstone_key)
        site.tell()
        ends = await asyncio.wait_for(asyncio.gather(*following, return_exceptions=True), 60)
        assert [type(end) for end in ends] == [StorageFault] * 3
        site.incoming.away.clear()
        async with site.streams(1) as anew:
            assert states(anew) == {("processing",)}
        await site.incoming.put(OTHER.tombstone_key, b"")
        site.tell(OTHER)
        await all_told(others, 2)


@pytest.mark.parametrize("seed", range(10))
async def test_whatever_happens_in_whatever_order_all_are_told_what_is_there(site: StreamSite, seed: int) -> None:
    """Changes, news that is lost, doubled or of nothing, pauses that end, streams that come and go."""
    chance = random.Random(seed)
    key = record_key(IMAGE, Stage.BASE)
    reasons = 0
    async with AsyncExitStack() as stack:
        open_now = [await stack.enter_async_context(AsyncExitStack()) for _ in range(5)]
        told: dict[int, list[list[Status]]] = {}
        for _ in range(40):
            change = chance.randrange(4)
            if change < 3:
                await site.incoming.put(key, encode_record(Record(configuration=str(change))))
            else:
                await site.incoming.delete(key)
            for _ in range(chance.choice((0, 0, 1, 2))):
                site.tell()
                reasons += 1
            place = chance.randrange(len(open_now))
            if place in told:
                await open_now[place].aclose()
                del told[place]
            else:
                told[place] = await open_now[place].enter_async_context(site.streams(chance.choice((1, 2, 60))))
                reasons += 2  # streams that are opened together need a look, or two
            if told and chance.random() < 0.3:
                await site.clock.passes()
                reasons += 1
        assert site.looks() <= reasons
        if not told:
            told[0] = await open_now[0].enter_async_context(site.streams(1))
        now = await read_status(IMAGE, buckets=site.buckets, plan=PLAN)
        site.tell()

        async def up_to_date() -> bool:
            return all(statuses[-1] == now for some in told.values() for statuses in some)

        await eventually(up_to_date, "what is there, in every stream")
    assert (site.status_streams.count, site.status_streams.count_of(IMAGE)) == (0, 0)


async def drained(site: StreamSite, image: ImageKey) -> None:
    async for _ in site.status_streams.follow(image):
        pass


async def answer(value: bool) -> bool:  # noqa: FBT001 - for `eventually`
    return value
