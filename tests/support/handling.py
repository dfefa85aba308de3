"""Handlers that note what they are given, and subscriptions with them, for the tests of both buses."""

from collections.abc import Awaitable, Callable

from common.images.names import ImageKey
from common.messaging.bus import Handler, Subscription
from common.messaging.events import Event, ImageUploaded, ThumbnailsRequested
from common.messaging.topology import RESIZER_LIVE

DELAYS = (0.05, 0.1)  # seconds before each retry


def uploaded(number: int = 1) -> ImageUploaded:
    return ImageUploaded(source="/test", subject=ImageKey.parse(f"1475660224_{number}.jpg"))


def subscription(handler: Handler, *, slots: int = 4, deadline: float = 30, **more: object) -> Subscription:
    handlers = {ImageUploaded: handler, ThumbnailsRequested: handler}
    return Subscription(RESIZER_LIVE, handlers, slots=slots, deadline=deadline, **more)  # type: ignore[arg-type]


class Handling:
    """A handler that notes what it gets, and does what it is told."""

    def __init__(self, act: Callable[[int], Awaitable[None]] | None = None) -> None:
        self.events: list[Event] = []
        self._act = act

    async def __call__(self, event: Event) -> None:
        self.events.append(event)
        if self._act is not None:
            await self._act(len(self.events))

    async def count(self, number: int) -> bool:
        return len(self.events) >= number
