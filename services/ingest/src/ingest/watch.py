"""Who follows an image. News only wakes: what is told is read from the buckets, once for all streams of the image."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

from common.images.names import ImageKey
from common.images.plan import Plan
from common.messaging.events import Event
from common.storage.base import Buckets
from ingest.status import Status, status_of

# Seconds from a look to the next while nothing is heard, because news may be lost; then always the last of them.
PAUSES = (5.0, 10.0, 20.0, 40.0, 60.0)

# Seconds between two signs of life: that its client has gone, a stream only notices when it writes.
_SIGN_OF_LIFE = 5.0

Wait = Callable[[asyncio.Event, float], Awaitable[None]]


async def _news_or_timeout(news: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await news.wait()


class Watchers:
    """The streams of `GET /events/KEY` that are open here.

    `wait` returns when there is news, or after so many seconds.
    """

    def __init__(self, buckets: Buckets, plan: Plan, wait: Wait = _news_or_timeout) -> None:
        self._buckets = buckets
        self._plan = plan
        self._wait = wait
        self._watched: dict[str, set[_Watched]] = defaultdict(set)  # by name: that is what records belong to
        self._closed = False
        self.count = 0

    def of(self, image: ImageKey) -> int:
        """How many follow the image, or one of another format that has its name."""
        return sum(watched.streams for watched in self._watched.get(image.name, ()))

    def on_event(self, event: Event) -> None:
        """Have the event's image looked at, if somebody follows it."""
        for watched in self._watched.get(event.subject.name, ()):
            watched.ask()

    def close(self) -> None:
        """End every stream: the service is about to stop."""
        self._closed = True
        for watched in [one for all_of_name in self._watched.values() for one in all_of_name]:
            watched.stop()

    async def follow(self, image: ImageKey) -> AsyncGenerator[Status | None, None]:
        """The image's status whenever it is another one, until it is settled; None now and then when it is not.

        Who is slow to take one misses those that came and went meanwhile. Raises StorageFault.
        """
        if self._closed:
            return
        with self._joined(image) as watched:
            told, wanted = None, watched.ask()
            while not self._closed:
                if watched.looks < wanted:
                    if not await watched.looked(_SIGN_OF_LIFE):
                        yield None
                    continue
                status, wanted = watched.status, watched.looks + 1
                assert status is not None
                if status != told:
                    told = status
                    yield status
                if status.settled:
                    return

    @contextmanager
    def _joined(self, image: ImageKey) -> Iterator["_Watched"]:
        of_name = self._watched[image.name]
        watched = next((one for one in of_name if one.image == image and one.goes_on), None)
        if watched is None:
            watched = _Watched(image, lambda: status_of(image, buckets=self._buckets, plan=self._plan), self._wait)
            of_name.add(watched)
        watched.streams += 1
        self.count += 1
        try:
            yield watched
        finally:
            watched.streams -= 1
            self.count -= 1
            if not watched.streams:
                watched.stop()
                of_name.discard(watched)
                if not of_name:
                    del self._watched[image.name]


class _Watched:
    """An image that is looked at for all of its streams. `looks` counts those that have ended, `status` is the last."""

    def __init__(self, image: ImageKey, look: Callable[[], Awaitable[Status]], wait: Wait) -> None:
        self.image = image
        self.streams = 0
        self.looks = 0
        self.status: Status | None = None
        self._look = look
        self._wait = wait
        self._begun = 0
        self._news = asyncio.Event()
        self._ended = asyncio.get_running_loop().create_future()
        self._looking = asyncio.create_task(self._look_on())
        # If everybody has left by then, nobody hears that the store has failed.
        self._looking.add_done_callback(lambda looking: looking.cancelled() or looking.exception())

    @property
    def goes_on(self) -> bool:
        """Whether there will be another look: not after the image was settled, or a look has failed."""
        return not self._looking.done()

    def ask(self) -> int:
        """Have a look taken at once. Returns its number; one that is under way may have read what is old by now."""
        self._news.set()
        return self._begun + 1

    def stop(self) -> None:
        """Take no more looks."""
        self._looking.cancel()

    async def looked(self, seconds: float) -> bool:
        """Whether another look has ended before the seconds have. Raises what it has raised."""
        waiting = (self._ended, self._looking)
        ended, _ = await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if self._looking.done() and not self._looking.cancelled():
            self._looking.result()
        return bool(ended)

    async def _look_on(self) -> None:
        silent = 0
        while True:
            heard = self._news.is_set()
            self._news.clear()
            self._begun += 1
            status = await self._look()
            silent = 0 if heard or status != self.status else silent + 1
            self.status, self.looks = status, self._begun
            self._ended.set_result(None)
            self._ended = asyncio.get_running_loop().create_future()
            if status.settled and not self._news.is_set():
                return
            await self._wait(self._news, PAUSES[min(silent, len(PAUSES) - 1)])
