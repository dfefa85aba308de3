"""A seed takes the same steps everywhere: an order that went wrong once can be looked at again."""

import os
import subprocess
import sys
from pathlib import Path

_REPOSITORY = Path(__file__).parents[2]
_STEPS = """
import asyncio, sys
from tests.support.instant_loop import InstantLoop
from tests.support.world import OTHERS, PLAN, World

async def run(seed):
    plans = [PLAN, *OTHERS]
    world = World(seed, 2, publishing=plans, resizing=plans)
    for together in (("crop_one", "activate", "resize", "resize"), ("reconcile",), ("delete", "activate"), ("sweep",)):
        for actor in together:
            getattr(world, actor)()
        await world.run(lambda: None)
    print(seed, *world.scheduler.taken, sep="\\n", file=sys.stderr)

with asyncio.Runner(loop_factory=InstantLoop) as runner:
    for seed in range(5):
        runner.run(run(seed))
"""


def steps(hash_seed: str) -> list[str]:
    ran = subprocess.run(
        [sys.executable, "-c", _STEPS],
        cwd=_REPOSITORY,
        env=os.environ | {"PYTHONHASHSEED": hash_seed},
        check=True,
        capture_output=True,
        text=True,
    )
    return ran.stderr.splitlines()  # logs are in the other stream


def test_a_seed_takes_the_same_steps_however_sets_are_ordered() -> None:
    first = steps("0")
    assert len(first) > 1000
    assert [steps(hash_seed) for hash_seed in ("1", "2", "3")] == [first] * 3
