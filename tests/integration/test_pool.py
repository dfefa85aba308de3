"""The decoding processes: one bad image costs one failure."""

import asyncio
import resource
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from tests.support.decoders import DONE, do, pid_of_the_next
from tests.support.hostile import Answer
from tests.support.pictures import photo

from common.errors import Defect, FailureClass, ImageError, Transient
from common.images.formats import Format
from common.imaging.probe import Header, probe
from common.sandbox.pool import Pool
from common.sandbox.protocol import Job, Limits

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    async with Pool.open(2, Limits(memory_mb=512, cpu_seconds=1)) as found:
        yield found


@pytest.mark.parametrize(
    ("what", "fault", "reason"),
    [
        ("segfault", FailureClass.CRASHED, "SIGSEGV"),
        ("abort", FailureClass.CRASHED, "SIGABRT"),
        ("exit", FailureClass.CRASHED, "exit status 3"),
        ("burn", FailureClass.TIMEOUT, "1 s of CPU time"),
        ("burn on", FailureClass.TIMEOUT, "1 s of CPU time"),
        ("eat", FailureClass.MEMORY, "memory"),
        ("babble", FailureClass.CRASHED, "crashed"),
        ("answer early", FailureClass.CRASHED, "out of form"),
        ("answer too much", FailureClass.CRASHED, "out of form"),
        ("answer without end", FailureClass.CRASHED, "out of form"),
        ("lie", FailureClass.CRASHED, "no sense"),
        ("start threads", FailureClass.CRASHED, "more than 64 threads"),
    ],
)
async def test_whatever_an_image_does_costs_that_image_alone(
    pool: Pool, what: str, fault: FailureClass, reason: str
) -> None:
    bad = asyncio.create_task(do(pool, what))
    for _ in range(3):
        answer, blobs = await do(pool, "work")
        assert (answer, blobs) == (DONE, [b"blob", b""])
    with pytest.raises(ImageError) as error:
        await bad
    assert error.value.fault is fault
    assert reason in error.value.reason
    await asyncio.gather(*(do(pool, "work") for _ in range(4)))


async def test_the_memory_that_an_answer_takes_is_taken_once() -> None:
    size = 100 << 20
    async with Pool.open(1, Limits(memory_mb=512)) as one:
        await one.start_one()
        tracemalloc.start()
        try:
            _, (blob,) = await do(one, f"much:{size}")
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert len(blob) == size
        assert most < 1.3 * size


_NO_MEMORY = """
import asyncio, resource
from tests.support.decoders import DONE, do, pid_of_the_next
from tests.support.hostile import Act, Answer, act
from common.errors import Transient
from common.sandbox.pool import Pool
from common.sandbox.protocol import Limits

async def main():
    async with Pool.open(1, Limits()) as pool:
        await pool.start_one()
        resource.setrlimit(resource.RLIMIT_DATA, (300 << 20, resource.RLIM_INFINITY))
        try:
            await pool.run(act, Act(what=f"much:{400 << 20}", limits=pool.limits), Answer, None)
        except Transient as error:
            assert "no memory" in str(error), error
        else:
            raise AssertionError("there was room")
        resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        answer, _ = await pool.run(act, Act(what="work", limits=pool.limits), Answer, None)
        assert answer.text == "done"

asyncio.run(main())
"""


def test_an_answer_for_which_the_service_has_no_memory_is_tried_again_later() -> None:
    command = [sys.executable, "-c", _NO_MEMORY]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


async def test_how_much_cpu_time_it_took_is_not_the_processs_to_say() -> None:
    async with Pool.open(1, Limits(memory_mb=512)) as one:
        await do(one, "boast")
        assert one.cpu_seconds < 60


async def test_the_stack_has_a_limit_where_the_services_has_none() -> None:
    before = resource.getrlimit(resource.RLIMIT_STACK)
    resource.setrlimit(resource.RLIMIT_STACK, (before[1], before[1]))
    try:
        async with Pool.open(1, Limits(memory_mb=512)) as one:
            with pytest.raises(ImageError, match="SIGSEGV"):
                await do(one, "deep stack")
    finally:
        resource.setrlimit(resource.RLIMIT_STACK, before)


async def test_addresses_have_a_limit_too() -> None:
    async with Pool.open(1, Limits(memory_mb=512)) as one:
        with pytest.raises(Transient, match="Cannot allocate memory"):
            await do(one, "many addresses")


async def test_what_had_no_cpu_in_its_time_is_not_blamed_for_it(pool: Pool) -> None:
    async with Pool.open(1, replace(pool.limits, wall_seconds=0.5)) as short:
        with pytest.raises(Transient, match=r"0\.5 s beside other work"):
            await do(short, "hang")


async def test_what_runs_out_of_time_at_work_is_too_slow(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.sandbox.pool._SHARE_OF_CPU", 0.01)  # the tests may be given little more
    async with Pool.open(1, replace(pool.limits, cpu_seconds=60, wall_seconds=3)) as with_time:
        with pytest.raises(ImageError, match="3 s by the clock") as error:
            await do(with_time, "burn")
    assert error.value.fault is FailureClass.TIMEOUT


def defects() -> float:
    labels = {"operation": "act", "outcome": "defect"}
    return REGISTRY.get_sample_value("image_backend_imaging_jobs_total", labels) or 0.0


@pytest.mark.parametrize("what", ["defect", "wrong call", "wrong arguments", "no such operation"])
async def test_an_error_of_ours_is_a_defect_and_never_the_images_fault(
    pool: Pool, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = defects()
    with pytest.raises(Defect):
        await do(pool, what)
    assert defects() == before + 1
    said = capsys.readouterr()
    assert "Traceback" in said.out + said.err
    assert "hostile.py" in said.out + said.err, "the trace shows where"


async def test_a_failing_system_call_is_not_the_images_fault(pool: Pool) -> None:
    with pytest.raises(Transient, match="No such file"):
        await pool.run(probe, Job(limits=pool.limits), Header, Path("/nowhere/photo"))


async def test_a_crash_that_happens_once_is_not_held_against_the_image(pool: Pool) -> None:
    answer, _ = await do(pool, f"crash in:{await pid_of_the_next(pool)}")
    assert answer == DONE


@pytest.mark.parametrize("what", ["killed", "told to end"])
async def test_what_the_system_kills_is_not_held_against_the_image(pool: Pool, what: str) -> None:
    """SIGKILL is the kernel's, SIGTERM that of programs which watch over the memory of a machine."""
    with pytest.raises(Transient, match="too little memory"):
        await do(pool, what)


async def test_a_process_sees_no_secret_and_cannot_write(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_SECRET_KEY", "do not tell")
    async with Pool.open(1, pool.limits) as fresh:
        answer, _ = await do(fresh, "environment")
        assert "PATH" in answer.text
        assert "do not tell" not in answer.text
        answer, _ = await do(fresh, f"write:{tmp_path / 'file'}")
        assert answer == Answer(text="Operation not permitted")


async def test_a_header_is_read(pool: Pool, tmp_path: Path) -> None:
    (tmp_path / "photo").write_bytes(photo(640, 480, 6))
    header, _ = await pool.run(probe, Job(limits=pool.limits), Header, tmp_path / "photo")
    assert header == Header(format=Format.JPG, width=640, height=480, frames=1, orientation=6, interlaced=False)
    assert header.is_sideways
