"""What `GET /events` tells, and what it asks of the store for it. No time passes here but by the test's own hand."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path

import pytest
from tests.support.counted import CountedStorage
from tests.support.eventually import eventually

from common.errors import StorageFault
from common.images.names import ImageKey
from common.images.plan import Plan
from common.images.records import Record, Stage, encode_record, record_key
from common.images.sizes import parse_sizes
from common.messaging.events import Event, ImageActivated
from common.storage.base import Buckets
from ingest.status import State, Status, status_of
from ingest.streams import StatusStreams

IMAGE = ImageKey.parse("1475660224_0882910455.jpg")
OTHER = ImageKey.parse("1475660224_0882910456.jpg")
PLAN = Plan(parse_sizes(None))
RECORD = encode_record(Record(configuration=PLAN.configuration(Stage.BASE)))
LADDER = [5, 10, 20, 40, 60, 60]


class Time:
    """Passes when the test says so. Remembers how long each pause between two looks would have been."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self._over = asyncio.Event()

    async def wait(self, news: asyncio.Event, seconds: float) -> None:
        self.pauses.append(seconds)
        waiting = [asyncio.ensure_future(event.wait()) for event in (news, self._over)]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()

    async def passes(self) -> None:
        """End every pause of now, and return when the next have begun."""
        before = len(self.pauses)
        self._over.set()
        self._over = asyncio.Event()
        await self.pausing(before + 1)

    async def pausing(self, count: int) -> None:
        """Return once there have been so many pauses."""

        async def begun() -> bool:
            return len(self.pauses) >= count

        await eventually(begun, f"{count} pauses")


class Site:
    """The buckets of a store that counts, and the streams of one replica."""

    def __init__(self, folder: Path) -> None:
        self.incoming, self.active = CountedStorage.pair(folder)
        self.buckets = Buckets(self.incoming, self.active)
        self.time = Time()
        self.status_streams = StatusStreams(self.buckets, PLAN, self.time.wait)

    def looks(self, image: ImageKey = IMAGE) -> int:
        """How often the image was looked at: each look begins with its tombstone."""
        return self.incoming.times(image.tombstone)

    def tell(self, image: ImageKey = IMAGE) -> None:
        event: Event = ImageActivated(source="/test", subject=image)
        self.status_streams.on_event(event)

    @asynccontextmanager
    async def streams(self, count: int, image: ImageKey = IMAGE) -> AsyncIterator[list[list[Status]]]:
        """So many streams, each told once; what each is told goes into its list."""
        told: list[list[Status]] = [[] for _ in range(count)]

        async def follow(into: list[Status]) -> None:
            async with aclosing(self.status_streams.follow(image)) as statuses:
                async for status in statuses:
                    if status is not None:
                        into.append(status)  # noqa: PERF401 - looked at as it grows

        following = [asyncio.create_task(follow(into)) for into in told]
        try:
            await all_told(told, 1)
            yield told
        finally:
            for task in following:
                task.cancel()
            await asyncio.gather(*following, return_exceptions=True)


async def all_told(told: list[list[Status]], times: int) -> None:
    async def enough() -> bool:
        return all(len(statuses) >= times for statuses in told)

    await eventually(enough, f"{times} statuses in each of {len(told)} streams")


def states(told: list[list[Status]]) -> set[tuple[State, ...]]:
    return {tuple(status.state for status in statuses) for statuses in told}


@pytest.fixture
async def site(tmp_path: Path) -> Site:
    site = Site(tmp_path)
    for image in (IMAGE, OTHER):
        await site.incoming.put(str(image), b"original")
    return site


@pytest.mark.parametrize("count", [1, 2, 10, 50])
async def test_one_look_serves_all_streams_of_an_image(site: Site, count: int) -> None:
    async with site.streams(count) as told:
        assert site.looks() <= 2, "what comes while a look is under way is served by the next"
        before = site.looks()
        await site.incoming.put(record_key(IMAGE, Stage.BASE), RECORD)
        site.tell()
        await all_told(told, 2)
        assert site.looks() == before + 1
        await site.time.passes()
        assert site.looks() == before + 2
        assert states(told) == {("processing", "ready")}
    assert site.looks(OTHER) == 0


async def test_without_news_the_looks_become_rarer(site: Site) -> None:
    async with site.streams(3):
        looks = site.looks()
        for step in range(len(LADDER)):
            assert site.time.pauses[-1] == LADDER[step]
            await site.time.passes()
        assert site.looks() == looks + len(LADDER)


async def test_news_is_told_at_once_however_rare_the_looks_are_and_makes_them_frequent(site: Site) -> None:
    async with site.streams(2) as told:
        for _ in LADDER:
            await site.time.passes()
        assert site.time.pauses[-1] == LADDER[-1]
        await site.incoming.put(record_key(IMAGE, Stage.BASE), RECORD)
        pauses = len(site.time.pauses)
        site.tell()
        await all_told(told, 2)
        await site.time.pausing(pauses + 1)
        assert site.time.pauses[-1] == LADDER[0]
        await site.time.passes()
        assert site.time.pauses[-1] == LADDER[1]


async def test_what_no_news_told_of_is_found_by_the_next_look(site: Site) -> None:
    async with site.streams(2) as told:
        await site.time.passes()
        await site.time.passes()
        await site.incoming.put(record_key(IMAGE, Stage.BASE), RECORD)
        await site.time.passes()
        await all_told(told, 2)
        assert site.time.pauses[-1] == LADDER[0], "where news is lost, more may be"
    assert states(told) == {("processing", "ready")}


async def test_news_that_comes_during_a_look_leads_to_another(site: Site) -> None:
    async with site.streams(2) as told:
        await site.time.pausing(1)
        site.active.open_door.clear()  # it is asked last, when *incoming* has been read
        await site.incoming.delete(str(IMAGE))
        site.tell()

        async def reading() -> bool:
            return site.active.times(str(IMAGE)) > 0

        await eventually(reading, "a look that is under way")
        await site.incoming.put(IMAGE.tombstone, b"")
        await site.active.put(str(IMAGE), b"original")
        site.tell()
        site.active.open_door.set()
        await all_told(told, 3)
    assert states(told) == {("processing", "active", "unknown")}


async def test_who_comes_later_is_told_what_is_there_by_then(site: Site) -> None:
    async with site.streams(1) as told:
        await site.incoming.put(record_key(IMAGE, Stage.BASE), RECORD)  # and its news is lost
        async with site.streams(1) as later:
            assert states(later) == {("ready",)}
        await all_told(told, 2)


async def test_a_slow_client_holds_nobody_up_and_gets_the_last_word(site: Site) -> None:
    async with aclosing(site.status_streams.follow(IMAGE)) as slow:
        assert (await anext(slow)).state is State.PROCESSING  # type: ignore[union-attr]
        async with site.streams(2) as told:
            await site.incoming.put(record_key(IMAGE, Stage.BASE), RECORD)
            site.tell()
            await all_told(told, 2)
            await site.incoming.put(IMAGE.tombstone, b"")
            site.tell()
            await all_told(told, 3)
        assert states(told) == {("processing", "ready", "unknown")}
        await site.incoming.delete(IMAGE.tombstone)
        async with site.streams(1) as anew:
            assert states(anew) == {("ready",)}, "what a stream still has to take is not told to another"
        assert [(await anext(slow)).state] == [State.UNKNOWN]  # type: ignore[union-attr]
        with pytest.raises(StopAsyncIteration):
            await anext(slow)
    assert (site.status_streams.count, site.status_streams.count_of(IMAGE)) == (0, 0)


async def test_nobody_looks_for_those_who_have_left(site: Site) -> None:
    async with site.streams(3):
        assert (site.status_streams.count, site.status_streams.count_of(IMAGE)) == (3, 3)
        site.incoming.open_door.clear()  # they leave in the middle of a look
        site.tell()
    site.incoming.open_door.set()
    assert (site.status_streams.count, site.status_streams.count_of(IMAGE)) == (0, 0)
    looks = site.looks()
    site.tell()
    async with site.streams(1, OTHER):
        await site.time.passes()
    assert site.looks() == looks


async def test_when_the_service_stops_all_streams_end(site: Site) -> None:
    following = [asyncio.create_task(drained(site, image)) for image in (IMAGE, IMAGE, OTHER)]
    await eventually(lambda: answer(site.status_streams.count == 3 and bool(site.looks(OTHER))), "three streams")
    site.status_streams.close()
    await asyncio.wait_for(asyncio.gather(*following), 20)
    await asyncio.wait_for(drained(site, IMAGE), 20)  # what comes then ends at once
    assert site.status_streams.count == 0


async def test_a_look_that_fails_ends_the_streams_that_it_was_for(site: Site) -> None:
    async with site.streams(1, OTHER) as others:
        following = [asyncio.create_task(drained(site, IMAGE)) for _ in range(3)]
        await eventually(
            lambda: answer(site.status_streams.count_of(IMAGE) == 3 and bool(site.looks())), "three streams"
        )
        site.incoming.away.add(IMAGE.tombstone)
        site.tell()
        ends = await asyncio.wait_for(asyncio.gather(*following, return_exceptions=True), 20)
        assert [type(end) for end in ends] == [StorageFault] * 3
        site.incoming.away.clear()
        async with site.streams(1) as anew:
            assert states(anew) == {("processing",)}
        await site.incoming.put(OTHER.tombstone, b"")
        site.tell(OTHER)
        await all_told(others, 2)


@pytest.mark.parametrize("seed", range(10))
async def test_whatever_happens_in_whatever_order_all_are_told_what_is_there(site: Site, seed: int) -> None:
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
                told[place] = await open_now[place].enter_async_context(site.streams(chance.choice((1, 2, 20))))
                reasons += 2  # streams that are opened together need a look, or two
            if told and chance.random() < 0.3:
                await site.time.passes()
                reasons += 1
        assert site.looks() <= reasons
        if not told:
            told[0] = await open_now[0].enter_async_context(site.streams(1))
        now = await status_of(IMAGE, buckets=site.buckets, plan=PLAN)
        site.tell()

        async def up_to_date() -> bool:
            return all(statuses[-1] == now for some in told.values() for statuses in some)

        await eventually(up_to_date, "what is there, in every stream")
    assert (site.status_streams.count, site.status_streams.count_of(IMAGE)) == (0, 0)


async def drained(site: Site, image: ImageKey) -> None:
    async for _ in site.status_streams.follow(image):
        pass


async def answer(value: bool) -> bool:  # noqa: FBT001 - for `eventually`
    return value
