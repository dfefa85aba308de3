"""How long is waited before something is tried again: a server that is away, an event that failed."""

from common.backoff import pause, shortened

PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0)


def test_replicas_that_lost_a_server_together_do_not_come_back_together() -> None:
    for failures in (1, 3, 5, 100):
        pauses = {pause(failures, PAUSES) for _ in range(50)}
        assert len(pauses) > 25, "each draws its own"


def test_attempts_become_rarer_and_never_end() -> None:
    def mean(failures: int) -> float:
        return sum(pause(failures, PAUSES) for _ in range(1000)) / 1000

    assert mean(1) < mean(2) < mean(3) < mean(4) < mean(5)
    assert max(pause(10_000, PAUSES) for _ in range(1000)) <= 7.5


def test_what_must_not_take_longer_only_becomes_shorter() -> None:
    drawn = {shortened(60.0) for _ in range(50)}
    assert len(drawn) > 25
    assert 45.0 <= min(drawn) <= max(drawn) <= 60.0
