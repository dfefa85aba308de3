"""Who is next and who loses a connection, in every order of coming and being served that hypothesis finds."""

import socket
from collections import Counter
from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st

from common.http.accepting import AcceptQueue

MOST = 6
PROXY = "10.0.0.1"
CLIENTS = ("192.0.2.1", "192.0.2.2", "192.0.2.3", PROXY)
STEPS = st.lists(st.sampled_from([*CLIENTS, None]), max_size=60)  # None: one is taken from the queue


@given(STEPS)
def test_who_has_the_most_loses_the_newest_and_each_one_s_oldest_is_next(steps: list[str | None]) -> None:
    queue, waiting = AcceptQueue(MOST, [ip_network(f"{PROXY}/32")]), dict[socket.socket, str]()

    def can_lose() -> int:
        """How many connections the client has that loses one next, or 0."""
        numbers = Counter(waiting.values())
        del numbers[PROXY]
        return max((number for number in numbers.values() if number > 1), default=0)

    with socket.socket() as any_socket:
        for client in steps:
            assert queue.is_full is (len(waiting) >= MOST and not can_lose())
            if client is None and waiting:
                taken = queue.take()
                assert taken is next(one for one in waiting if waiting[one] == waiting[taken])
                del waiting[taken]
                taken.close()
            elif client is not None and not queue.is_full:
                connection = any_socket.dup()
                waiting[connection] = client
                lost = queue.add(connection, client)
                assert (lost is not None) is (len(waiting) > MOST)
                if lost is not None:
                    theirs = [one for one in waiting if waiting[one] == waiting[lost]]
                    assert len(theirs) == can_lose()
                    assert lost is theirs[-1]
                    del waiting[lost]
                    lost.close()
            assert len(queue) == len(waiting)
        for one in waiting:
            one.close()
