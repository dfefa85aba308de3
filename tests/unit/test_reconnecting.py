"""How long the link to the broker waits between its attempts."""

from common.messaging.rabbit.link import pause


def test_replicas_that_lost_the_broker_together_do_not_come_back_together() -> None:
    for failures in (1, 3, 5, 100):
        pauses = {pause(failures) for _ in range(50)}
        assert len(pauses) > 25, "each draws its own"


def test_attempts_become_rarer_and_never_end() -> None:
    def mean(failures: int) -> float:
        return sum(pause(failures) for _ in range(1000)) / 1000

    assert mean(1) < mean(2) < mean(3) < mean(4) < mean(5)
    assert max(pause(10_000) for _ in range(1000)) <= 7.5
