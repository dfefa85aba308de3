"""The program that a command belongs to: a service over RabbitMQ, or the embedded default."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Generic, TypeVar

from common.messaging.bus import Bus
from common.settings.base import Settings
from common.storage.base import Buckets

S = TypeVar("S", bound=Settings)


@dataclass(frozen=True)
class Program(Generic[S]):
    """`python -m NAME`: how it reads its settings, of the class `settings`, and which bus takes a command's events.

    `read` raises SettingsError. What `open_bus` gives may still be connecting.
    """

    name: str
    settings: type[S]
    read: Callable[[], S]
    open_bus: Callable[[S, Buckets], AbstractAsyncContextManager[Bus]]
