"""Who is waiting to hear of an image. News only wakes them: what they tell, they read from the buckets."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from common.events import Event
from common.images.names import ImageKey
from common.images.plan import Plan
from common.storage import Buckets
from ingest.status import Status, status_of

_LOOK_AGAIN = 5.0  # seconds; news may be lost


class Watchers:
    """The streams of `GET /events/KEY` that are open here."""

    def __init__(self, buckets: Buckets, plan: Plan) -> None:
        self._buckets = buckets
        self._plan = plan
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._closed = False
        self.count = 0

    def of(self, image: ImageKey) -> int:
        """How many follow the image."""
        return len(self._waiting.get(image.name, ()))

    def news(self, event: Event) -> None:
        """Wake those who wait for the event's image."""
        for waiting in self._waiting.get(event.subject.name, ()):
            waiting.set()

    def close(self) -> None:
        """End every stream: the service is about to stop."""
        self._closed = True
        for waiting in [one for all_of_one in self._waiting.values() for one in all_of_one]:
            waiting.set()

    async def follow(self, image: ImageKey) -> AsyncIterator[Status | None]:
        """The image's status whenever it is another one, until it is settled; None now and then when it is not."""
        with self._waits(image) as news:
            last = None
            while not self._closed:
                news.clear()
                status = await status_of(image, buckets=self._buckets, plan=self._plan)
                yield None if status == last else status
                if status.settled:
                    return
                last = status
                try:
                    async with asyncio.timeout(_LOOK_AGAIN):
                        await news.wait()
                except TimeoutError:
                    continue

    @contextmanager
    def _waits(self, image: ImageKey) -> Iterator[asyncio.Event]:
        news = asyncio.Event()
        self._waiting[image.name].add(news)
        self.count += 1
        try:
            yield news
        finally:
            self.count -= 1
            self._waiting[image.name].discard(news)
            if not self._waiting[image.name]:
                del self._waiting[image.name]
