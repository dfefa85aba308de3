"""Running a scenario in every schedule within a bound, and telling one that goes wrong."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import structlog
from tests.support.explored import NewlyWritten
from tests.support.promises import everything_is_settled, nothing_is_lost_or_half_public
from tests.support.schedules import Bound, Schedule, Search, SeenBefore
from tests.support.small_world import Scenario, SmallWorld
from tests.support.world import IMAGE

from common.images.names import ImageKey


class Violation(AssertionError):
    """A schedule that breaks a promise, as a story."""

    def __init__(self, scenario: Scenario, schedule: Schedule, world: SmallWorld, broken: BaseException) -> None:
        story = "\n".join(f"  {line}" for line in world.story).replace(IMAGE.name, "NAME")
        super().__init__(f"{scenario}\n{story}\n  {broken or type(broken).__name__}\nEXPLORE_PATH='{schedule}'")
        self.path = str(schedule)
        self.broken = str(broken)


async def explore(scenario: Scenario, bound: Bound) -> Search:
    """Run every schedule within the bound. Raises Violation at the first that breaks a promise."""
    given = os.environ.get("EXPLORE_PATH")
    written: set[str] = set()
    while True:
        search = Search(bound)
        try:
            for schedule in search.schedules() if given is None else [Schedule.parse(given)]:
                await replay(scenario, schedule, written)
        except NewlyWritten:
            continue
        return search


async def replay(scenario: Scenario, schedule: Schedule, written: set[str] | None = None) -> None:
    """Run one schedule. Raises Violation if it breaks a promise.

    `written` are the objects that earlier schedules have written.
    """
    world = SmallWorld(scenario, set() if written is None else written)
    with _names_of(world), _silence():
        try:
            await _run(world, scenario, schedule)
        except SeenBefore:
            pass
        except (AssertionError, KeyError, RuntimeError, ExceptionGroup) as broken:
            raise Violation(scenario, schedule, world, broken) from broken
        finally:
            await world.stop()


async def _run(world: SmallWorld, scenario: Scenario, schedule: Schedule) -> None:
    for actor in scenario.before:
        await _act(world, actor)
    await _act(world, *scenario.meet, schedule=schedule)
    if scenario.whole_without_repair:
        everything_is_settled(world)
    for actor in scenario.repair:
        await _act(world, actor)
    everything_is_settled(world)
    assert not scenario.quiet or not world.requested_by_repair, "variants are requested, and none are missing"


async def _act(world: SmallWorld, *actors: str, schedule: Schedule | None = None) -> None:
    """Without a schedule each goes on until it ends or waits."""
    for actor in actors:
        world.actors.append(actor)
        getattr(world, actor)()
    await world.follow(schedule or Schedule(()), lambda: nothing_is_lost_or_half_public(world))


@contextmanager
def _names_of(world: SmallWorld) -> Iterator[None]:
    """New images have names that are known beforehand."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ImageKey, "new", lambda _: next(world.made))
        yield


@contextmanager
def _silence() -> Iterator[None]:
    """Thousands of runs write no logs."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)
