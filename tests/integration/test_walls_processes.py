"""Processes of one user: a decoder is closed to the others, and its service is closed to it, without Landlock, too."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.unprivileged import unprivileged

from common.sandbox import process

REPOSITORY = Path(__file__).parents[2]

_UNWALLED = "tests.support.unwalled"

_NEIGHBOUR = """
import asyncio, sys
from pathlib import Path
from tests.support.hostile import Act, Answer, act
from common.sandbox import process
from common.sandbox.pool import Pool
from common.sandbox.protocol import Limits

async def main():
    process.WORKER = sys.argv[1]
    async with Pool.open(1, Limits()) as pool:
        answer, _ = await pool.run(act, Act(what="pid", limits=pool.limits), Answer, None)
        for name in ("environ", "mem", "maps", "fd/0"):
            try:
                Path(f"/proc/{answer.text}/{name}").open("rb").close()
            except PermissionError:
                continue
            raise AssertionError(f"{name} can be read")

asyncio.run(main())
"""


@pytest.mark.parametrize("worker", [process.WORKER, _UNWALLED])
def test_a_decoder_is_closed_to_other_processes_of_its_user(worker: str) -> None:
    command = unprivileged(sys.executable, "-c", _NEIGHBOUR, worker)
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


_UNDUMPABLE = """
import asyncio, sys
from pathlib import Path
from tests.integration.test_walls import tried
from common.sandbox.undumpable import become_undumpable

become_undumpable()
names = ["its parent's environment", "its parent's memory"]
said = asyncio.run(tried(names, Path(), sys.argv[1]))
assert all(text.startswith("denied") for text in said.values()), said
"""


@pytest.mark.parametrize("worker", ["tests.support.seccomp_alone", _UNWALLED])
def test_without_landlock_a_service_is_closed_to_its_decoders_all_the_same(worker: str) -> None:
    command = unprivileged(sys.executable, "-c", _UNDUMPABLE, worker)
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
