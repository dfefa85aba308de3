"""How long to wait before something is tried again: longer after each failure, and at random.

Without the randomness, replicas that lost a server together would come back to it together, each time.
"""

import random
from collections.abc import Sequence


def jittered(seconds: float) -> float:
    """Half of the seconds to one and a half times as many."""
    return seconds * random.uniform(0.5, 1.5)  # noqa: S311


def shortened(seconds: float) -> float:
    """Three quarters of the seconds to all of them: for what must not take longer."""
    return seconds * random.uniform(0.75, 1.0)  # noqa: S311


def pause(failures: int, pauses: Sequence[float]) -> float:
    """Seconds to wait after so many failures, counted from 1. After the last of `pauses` it stays with that one."""
    return jittered(pauses[min(failures, len(pauses)) - 1])
