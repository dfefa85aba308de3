"""The status streams of one replica over a store that counts, with a clock that the test moves on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from tests.support.counted import CountedStorage
from tests.support.eventually import eventually

from common.images.names import ImageKey
from common.images.plan import Plan
from common.images.records import Record, Stage, encode_record
from common.images.sizes import parse_sizes
from common.messaging.events import Event, ImageActivated
from common.storage.base import Buckets
from common.storage.status import State, Status
from ingest.streams import StatusStreams

IMAGE = ImageKey.parse("1475660224_0882910455.jpg")
OTHER = ImageKey.parse("1475660224_0882910456.jpg")
PLAN = Plan(parse_sizes(None))
RECORD = encode_record(Record(configuration=PLAN.configuration(Stage.BASE)))


class ManualClock:
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


class StreamSite:
    """The buckets of a store that counts, and the streams of one replica."""

    def __init__(self, folder: Path) -> None:
        self.incoming, self.active = CountedStorage.pair(folder)
        self.buckets = Buckets(self.incoming, self.active)
        self.clock = ManualClock()
        self.status_streams = StatusStreams(self.buckets, PLAN, self.clock.wait)

    def looks(self, image: ImageKey = IMAGE) -> int:
        """How often the image was looked at: each look begins with its tombstone."""
        return self.incoming.times(image.tombstone_key)

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
