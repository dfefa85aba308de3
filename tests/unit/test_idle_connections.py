"""Which connections go when there are too many."""

from dataclasses import dataclass
from typing import cast

from common.http.server import Connection, Connections


@dataclass(eq=False)
class Known:
    """What is asked of a connection."""

    is_idle: bool
    idle_since: float = 0.0
    in_excess: bool = False
    closed: bool = False

    def force_close(self) -> None:
        self.closed = True


def opened(most: int, *known: Known) -> None:
    connections = Connections(most)
    for one in known:
        connections.opened(cast("Connection", one))


def test_where_few_are_idle_the_one_that_waited_longest_goes_alone() -> None:
    busy = [Known(is_idle=False) for _ in range(250)]
    idle = [Known(is_idle=True, idle_since=float(number)) for number in (2, 1, 3)]
    opened(252, *busy, *idle)
    assert [one.closed for one in idle] == [False, True, False]
    assert not any(one.closed or one.in_excess for one in busy)


def test_where_many_are_idle_several_make_room_at_once() -> None:
    idle = [Known(is_idle=True, idle_since=float(number)) for number in range(257)]
    opened(256, *idle)
    assert [one.idle_since for one in idle if one.closed] == [0, 1, 2, 3, 4]


def test_where_none_is_idle_what_is_beyond_the_limit_is_in_excess() -> None:
    busy = [Known(is_idle=False) for _ in range(10)]
    opened(8, *busy)
    assert [one.in_excess for one in busy] == [False] * 8 + [True] * 2
    assert not any(one.closed for one in busy)
