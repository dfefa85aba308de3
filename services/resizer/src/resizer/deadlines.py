"""How long decoders and handlers may take: on the live lane, and in the background on the follow-up and bulk lanes."""

from dataclasses import replace

from common.sandbox.protocol import Limits

# How many seconds a heavy image of the background waits for its turn in its slot: half a million of them must not go
# round and round in their queue. A heavy upload goes back to its queue at once, so that its slot serves other uploads.
LIVE_TURN_WAIT = 0.0
BACKGROUND_TURN_WAIT = 60.0

# How many seconds an image waits on any lane until its original is fetched. Then it goes back to its queue, where
# another resizer can have it.
FETCH_WAIT = 60.0

# Decoders of lower priority need more time by the clock for the same work.
_BACKGROUND_SLOWDOWN = 6

# A handler's deadline allows for two attempts to render, and for reading and writing a few objects. With the default
# limits it stays below the half hour after which a broker delivers a message again.
_RENDERINGS = 2
_STORAGE_SECONDS = 180.0

# Seconds. A handler has ended when an image is removed, one hour after INCOMING_TTL
# (docs/bucket-protocol.md#expiry-after-grace); ten minutes are left for clocks that differ and calls that hang.
LONGEST_DEADLINE = 3000.0
_WAITING = FETCH_WAIT + BACKGROUND_TURN_WAIT
MOST_WALL_SECONDS = (LONGEST_DEADLINE - _STORAGE_SECONDS - _WAITING) / (_RENDERINGS * _BACKGROUND_SLOWDOWN)


def background_limits(limits: Limits) -> Limits:
    """The limits of decoders in the background."""
    return replace(limits, wall_seconds=_BACKGROUND_SLOWDOWN * limits.wall_seconds)


def live_deadline(limits: Limits) -> float:
    """How many seconds a handler of the live lane may take."""
    return _RENDERINGS * limits.wall_seconds + _STORAGE_SECONDS + FETCH_WAIT + LIVE_TURN_WAIT


def background_deadline(limits: Limits) -> float:
    """How many seconds a handler of the follow-up and bulk lanes may take. `limits` are those of the live lane."""
    return _RENDERINGS * background_limits(limits).wall_seconds + _STORAGE_SECONDS + _WAITING
