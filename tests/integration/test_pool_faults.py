"""Faults of the machine are never an image's: processes that cannot start, are stopped, or are given up half-way."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Coroutine, Generator
from pathlib import Path
from typing import Any

import pytest
from tests.support.eventually import eventually
from tests.support.hostile import Act, Answer, act
from tests.support.unprivileged import unprivileged

from common.errors import Transient
from common.sandbox import process
from common.sandbox.pool import Pool
from common.sandbox.protocol import Limits

LIMITS = Limits(memory_mb=512, cpu_seconds=10, wall_seconds=3)
REPOSITORY = Path(__file__).parents[2]


async def do(pool: Pool, what: str) -> str:
    answer, _ = await pool.run(act, Act(what=what, limits=pool.limits), Answer, None)
    return answer.text


def children() -> set[int]:
    """Processes that this one has started, and that are still there."""
    found = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == os.getpid():
            found.add(int(status.parent.name))
    return found


async def works(pool: Pool) -> None:
    async def without_trouble() -> bool:
        return pool.trouble() is None

    await eventually(without_trouble, "processes that start again")
    assert await do(pool, "work") == "done"


@pytest.mark.parametrize("background", [False, True], ids=["live", "background"])
@pytest.mark.parametrize("busy", [False, True], ids=["stopped while idle", "stopped at work"])
async def test_a_stopped_process_is_replaced_and_no_image_is_blamed(*, background: bool, busy: bool) -> None:
    async with Pool.open(1, LIMITS, background=background) as pool:
        pid = int(await do(pool, "pid"))
        job = asyncio.create_task(do(pool, "hang" if busy else "work"))
        if not busy:
            os.kill(pid, signal.SIGSTOP)
        else:
            await asyncio.sleep(0.1)
            os.kill(pid, signal.SIGSTOP)
        with pytest.raises(Transient, match="3 s"):
            await job
        assert int(await do(pool, "pid")) != pid
        assert pool.trouble() is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_file_that_is_cut_off_while_it_is_read_is_not_held_against_the_image(tmp_path: Path) -> None:
    """The kernel answers as where a disk fails: SIGBUS."""
    path = tmp_path / "original"
    path.write_bytes(bytes(1 << 20))
    async with Pool.open(1, Limits()) as pool:
        pid = int(await do(pool, "pid"))

        async def reads() -> bool:
            # Its name: what it has mapped is told to nobody.
            return await asyncio.to_thread(Path(f"/proc/{pid}/comm").read_text) == "reading\n"

        job = asyncio.create_task(pool.run(act, Act(what="read on", limits=pool.limits), Answer, path))
        await eventually(reads, "a process that reads the file")
        os.truncate(path, 0)
        with pytest.raises(Transient, match="could not be read to the end"):
            await job
        assert await do(pool, "work") == "done"


@pytest.mark.parametrize(
    "script",
    ["exit 1", "kill -9 $$", "kill -STOP $$", "echo nonsense; exec sleep 60", "exec sleep 60", None],
    ids=["exits", "killed", "stopped", "babbles", "says nothing", "missing"],
)
async def test_processes_that_cannot_start_are_said_and_start_again_by_themselves(
    script: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    if script is not None:
        python.write_text(f"#!/bin/sh\n{script}\n")
        python.chmod(0o755)
    before = children()
    async with Pool.open(2, LIMITS) as pool:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "executable", str(python))
            patch.setattr(process, "START_SECONDS", 1)
            for _ in range(2):
                with pytest.raises(Transient, match="no decoding process can start"):
                    await do(pool, "work")
            assert pool.trouble() is not None
            await pool.start_one()
            assert pool.trouble() is not None
        await works(pool)
    assert children() <= before


async def test_a_pool_that_closes_in_trouble_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexec sleep 60\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setattr(process, "START_SECONDS", 0.5)
    before = children()
    async with Pool.open(2, LIMITS) as pool:
        await pool.start_one()
        await asyncio.sleep(1.2)  # the next attempt is under way
    assert children() <= before


_LIMITED = """
import asyncio, resource
from tests.integration.test_pool_faults import LIMITS, Pool, Transient, do, works

async def main():
    async with Pool.open(2, LIMITS) as pool:
        _, hard = resource.getrlimit(resource.{limit})
        resource.setrlimit(resource.{limit}, ({value}, hard))
        try:
            await do(pool, "work")
        except Transient as error:
            assert "no decoding process can start" in str(error), error
        else:
            raise AssertionError("it started")
        resource.setrlimit(resource.{limit}, (hard, hard))
        await works(pool)

asyncio.run(main())
"""


@pytest.mark.parametrize(("limit", "value"), [("RLIMIT_NPROC", 0), ("RLIMIT_NOFILE", 8), ("RLIMIT_DATA", 4 << 20)])
def test_limits_that_make_a_start_impossible(limit: str, value: int) -> None:
    # Nothing limits how many processes root may have.
    command = unprivileged(sys.executable, "-c", _LIMITED.format(limit=limit, value=value))
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr


class _CancelledAt:
    """The work, awaited; whoever awaits it is cancelled at the awaits of these numbers, counted from 0."""

    def __init__(self, work: Coroutine[Any, Any, str], *steps: int) -> None:
        self._work = work
        self._steps = steps
        self.awaits = 0

    def __await__(self) -> Generator[Any, Any, str]:
        thrown: BaseException | None = None
        while True:
            try:
                waited = self._work.send(None) if thrown is None else self._work.throw(thrown)
            except StopIteration as end:
                text: str = end.value
                return text
            task = asyncio.current_task()
            if task is not None and self.awaits in self._steps:
                task.cancel()
            self.awaits += 1
            try:
                yield waited
            except BaseException as error:  # noqa: BLE001 - handed on to the work
                thrown = error
            else:
                thrown = None


async def _cancelled(pool: Pool, what: str, *steps: int) -> int:
    """Run a job and cancel it at these awaits. Returns how many it came to."""
    work = _CancelledAt(do(pool, what), *steps)

    async def job() -> str:
        return await work

    await asyncio.gather(asyncio.create_task(job()), return_exceptions=True)
    return work.awaits


@pytest.mark.parametrize(("what", "warm"), [("work", False), ("work", True), ("exit", True)])
async def test_a_job_cancelled_at_any_await_and_then_again_gives_its_slot_back(what: str, *, warm: bool) -> None:
    before = children()
    async with Pool.open(1, LIMITS) as pool:
        awaits = await _cancelled(pool, what)
    assert awaits > 1
    for first in range(awaits):
        async with Pool.open(1, LIMITS) as pool:
            if warm:
                await pool.start_one()
            await _cancelled(pool, what, first, first + 1)
            async with asyncio.timeout(30):
                assert await do(pool, "work") == "done", first
        assert children() <= before, first


async def test_a_start_cancelled_at_any_await_and_then_again_is_over_when_the_job_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[asyncio.subprocess.Process] = []
    start = asyncio.create_subprocess_exec

    async def remembered(*command: Any, **options: Any) -> asyncio.subprocess.Process:
        started.append(await start(*command, **options))
        return started[-1]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", remembered)
    async with Pool.open(1, LIMITS) as pool:
        awaits = await _cancelled(pool, "work")
    for first in range(awaits):
        started.clear()
        async with Pool.open(1, LIMITS) as pool:
            await _cancelled(pool, "work", first, first + 1)
        assert all(process.returncode is not None for process in started), first
    assert started
