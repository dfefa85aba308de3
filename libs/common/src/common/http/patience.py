"""For how long a port waits for its clients."""

from typing import NamedTuple

from common.http.bodies import GRACE


class Patience(NamedTuple):
    """For how many seconds a client is waited for."""

    head_seconds: float
    """For the first head of a connection."""
    idle_seconds: float
    """For each further one, after an answer."""
    untaken_seconds: float
    """How far it may lag behind the slowest rate of taking an answer."""


PATIENCE = Patience(
    head_seconds=10.0,  # a browser sends a whole one at once
    # nginx and the load balancers of clouds keep the connections to what is behind them for 60 s. One that is closed
    # just as a request comes costs its client the answer.
    idle_seconds=75.0,
    untaken_seconds=GRACE,
)
