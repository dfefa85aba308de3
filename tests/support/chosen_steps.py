"""Steps that a search chooses, and what may go wrong with them."""

import asyncio
from enum import StrEnum

from tests.support.scheduler import CURRENT_PROCESS, Scheduler, SimulatedProcess

from common.errors import BusFault

BUCKETS = ("incoming", "active")


class Fault(StrEnum):
    """What may go wrong."""

    KILL = "killed"
    STOP_ALL = "everything is killed, and all events are lost"
    REFUSE = "refused: the broker is away"
    NOT_DONE = "the store fails"
    ANSWER_LOST = "its answer is lost"


def parts(what: str) -> tuple[str, str, str]:
    """The place of a step, what is done there, and the key."""
    place, _, rest = what.partition(" ")
    operation, _, key = rest.partition(" ")
    return place, operation, key.removeprefix("file ")


class ChosenScheduler(Scheduler):
    """Steps that the world chooses. An object whose key is not in `keys` is never written: to ask for it is no step."""

    def __init__(self, keys: set[str]) -> None:
        super().__init__(0, 0.0)
        self.fault_of_step: Fault | None = None
        self._keys = keys

    async def step(self, what: str) -> None:
        if CURRENT_PROCESS.get().dead:
            raise asyncio.CancelledError
        place, operation, key = parts(what)
        if place in BUCKETS and operation != "list" and key not in self._keys:
            assert operation in {"get", "stat", "delete"}, f"{key} is not known to the search"
            return
        await super().step(what)
        if place == "publish" and self.fault("") is not None:
            raise BusFault("the broker is away")

    def fault(self, _: str) -> str | None:
        fault, self.fault_of_step = self.fault_of_step, None
        return fault and ("after" if fault is Fault.ANSWER_LOST else "before")

    def end(self, process: SimulatedProcess) -> None:
        """It takes no further step, also where it would not be interrupted."""
        process.dead = True
        for parked in self._parked:
            if parked.process is process:
                parked.turn.cancel()

    def waiting(self, process: SimulatedProcess) -> list[str]:
        """The steps that the process can take, in the order of their names."""
        return sorted({parked.what for parked in self._parked if parked.process is process})

    def take(self, process: SimulatedProcess, what: str) -> None:
        parked = next(parked for parked in self._parked if parked.process is process and parked.what == what)
        self._parked.remove(parked)
        parked.turn.set_result(None)
