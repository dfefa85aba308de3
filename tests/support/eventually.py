"""Waiting for something that has to become true."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(look: Callable[[], Awaitable[T]], what: str, seconds: float = 90) -> T:
    """The first truthy result of `look`. Fails the test after `seconds`, saying `what` never came."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not (found := await look()):
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"never came: {what}")
        await asyncio.sleep(0.05)
    return found
