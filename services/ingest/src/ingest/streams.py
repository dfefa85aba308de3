"""The streams of `GET /events/KEY`: each one gets the status of its image whenever that changes.

An event only says when to look. The status is read from the buckets, once for all streams of an image.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

from common import tracing
from common.images.names import ImageKey
from common.images.plan import Plan
from common.messaging.events import Event
from common.storage.base import Buckets
from common.storage.status import Status, read_status

# Seconds between two looks without an event, because events may be lost. The last pause is repeated.
PAUSES = (5.0, 10.0, 20.0, 40.0, 60.0)

_KEEPALIVE = 5.0  # seconds; a stream only notices that its client has gone when it writes

Wait = Callable[[asyncio.Event, float], Awaitable[None]]


async def _wait_or_timeout(woken: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await woken.wait()


class StatusStreams:
    """The streams that are open in this process.

    `wait` returns when its event is set, or after so many seconds.
    """

    def __init__(self, buckets: Buckets, plan: Plan, wait: Wait = _wait_or_timeout) -> None:
        self._buckets = buckets
        self._plan = plan
        self._wait = wait
        self._followed: dict[str, set[_FollowedImage]] = defaultdict(set)  # by name, because records belong to a name
        self._closed = False
        self.count = 0

    def count_of(self, image: ImageKey) -> int:
        """How many streams follow the image, or an image of another format with the same name."""
        return sum(followed.streams for followed in self._followed.get(image.name, ()))

    def on_event(self, event: Event) -> None:
        """Have the event's image looked at, if a stream follows it."""
        for followed in self._followed.get(event.subject.name, ()):
            followed.request_look()

    def close(self) -> None:
        """End every stream, because the service is about to stop."""
        self._closed = True
        for followed in [one for all_of_name in self._followed.values() for one in all_of_name]:
            followed.stop()

    async def follow(self, image: ImageKey) -> AsyncGenerator[Status | None, None]:
        """The image's status now and whenever it changes, until it is settled. None means that a keepalive is due.

        A reader that is slow misses the statuses that were replaced meanwhile. Raises StorageFault.
        """
        if self._closed:
            return
        with self._join(image) as followed:
            sent, wanted = None, followed.request_look()
            while not self._closed:
                if followed.looks < wanted:
                    if not await followed.wait_for_look(_KEEPALIVE):
                        yield None
                    continue
                status, wanted = followed.status, followed.looks + 1
                assert status is not None
                if status != sent:
                    sent = status
                    yield status
                if status.settled:
                    return

    @contextmanager
    def _join(self, image: ImageKey) -> Iterator["_FollowedImage"]:
        of_name = self._followed[image.name]
        followed = next((one for one in of_name if one.image == image and one.is_looking), None)
        if followed is None:
            followed = _FollowedImage(
                image, lambda: read_status(image, buckets=self._buckets, plan=self._plan), self._wait
            )
            of_name.add(followed)
        followed.streams += 1
        self.count += 1
        try:
            yield followed
        finally:
            followed.streams -= 1
            self.count -= 1
            if not followed.streams:
                followed.stop()
                of_name.discard(followed)
                if not of_name:
                    del self._followed[image.name]


class _FollowedImage:
    """An image that is looked at for all its streams.

    `looks` is how many looks have ended, and `status` what the last one found.
    """

    def __init__(self, image: ImageKey, look: Callable[[], Awaitable[Status]], wait: Wait) -> None:
        self.image = image
        self.streams = 0
        self.looks = 0
        self.status: Status | None = None
        self._look = look
        self._wait = wait
        self._begun = 0
        self._woken = asyncio.Event()
        self._ended = asyncio.get_running_loop().create_future()
        with tracing.apart():  # it looks for all streams, and may go on when the request has ended that began it
            self._looking = asyncio.create_task(self._keep_looking())
        # A fault of the store has no reader if every stream has ended: retrieve it, so that asyncio does not log it.
        self._looking.add_done_callback(lambda looking: looking.cancelled() or looking.exception())

    @property
    def is_looking(self) -> bool:
        """Whether there will be another look. There is none once the status is settled, or a look has failed."""
        return not self._looking.done()

    def request_look(self) -> int:
        """Have a look begun at once. Returns its number. A look that has begun already may have read old objects."""
        self._woken.set()
        return self._begun + 1

    def stop(self) -> None:
        """Stop looking."""
        self._looking.cancel()

    async def wait_for_look(self, seconds: float) -> bool:
        """Whether a look ended within `seconds`. Raises what the look raised."""
        waiting = (self._ended, self._looking)
        ended, _ = await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if self._looking.done() and not self._looking.cancelled():
            self._looking.result()
        return bool(ended)

    async def _keep_looking(self) -> None:
        unchanged = 0
        while True:
            woken = self._woken.is_set()
            self._woken.clear()
            self._begun += 1
            status = await self._look()
            unchanged = 0 if woken or status != self.status else unchanged + 1
            self.status, self.looks = status, self._begun
            self._ended.set_result(None)
            self._ended = asyncio.get_running_loop().create_future()
            if status.settled and not self._woken.is_set():
                return
            await self._wait(self._woken, PAUSES[min(unchanged, len(PAUSES) - 1)])
