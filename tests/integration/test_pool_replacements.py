"""Which process has the next job: one that ended its last one well, or a new one."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from tests.support.decoders import DONE, decoding_processes, do, pid_of_the_next
from tests.support.eventually import eventually
from tests.support.hostile import Answer

from common.errors import Defect, ImageError, Transient
from common.sandbox.pool import Pool
from common.sandbox.process import DecodingProcess
from common.sandbox.protocol import Limits


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    async with Pool.open(2, Limits(memory_mb=512, cpu_seconds=1)) as found:
        yield found


@pytest.mark.parametrize("what", ["answer too much", "answer without end"])
async def test_a_process_that_goes_on_writing_keeps_no_slot(what: str) -> None:
    async with Pool.open(1, Limits(memory_mb=512)) as one:
        with pytest.raises(ImageError, match="out of form"):
            await do(one, what)
        assert await do(one, "work") == (DONE, [b"blob", b""])


async def test_an_answer_written_ahead_is_not_taken_for_the_next_job() -> None:
    async with Pool.open(1, Limits(memory_mb=512)) as one:
        assert await do(one, "answer twice") == (Answer(text="first"), [])
        assert await do(one, "work") == (DONE, [b"blob", b""])


async def test_what_goes_on_after_its_answer_is_ended_and_the_next_image_is_not_blamed() -> None:
    async with Pool.open(1, Limits(memory_mb=512, cpu_seconds=1)) as one:
        answer, _ = await do(one, "leave running")
        pid = int(answer.text)

        async def ended() -> bool:
            return pid not in decoding_processes()

        await eventually(ended, "the end of a process that is idle and spins")
        assert await do(one, "work") == (DONE, [b"blob", b""])


async def test_a_process_that_left_many_threads_running_is_never_reused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def look_away(*_: object) -> None:
        """A second is enough for the next image to come."""

    monkeypatch.setattr(DecodingProcess, "_watch", look_away)
    async with Pool.open(1, Limits(memory_mb=512)) as one:
        for what, reused in (("leave some threads", True), ("leave many threads", False)):
            answer, _ = await do(one, what)
            assert (await pid_of_the_next(one) == int(answer.text)) is reused, what


async def test_what_cannot_be_watched_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(pid: int) -> int:
        raise RuntimeError(f"of {pid}")

    async with Pool.open(1, Limits(memory_mb=512)) as one:
        with monkeypatch.context() as patch:
            patch.setattr("common.sandbox.usage.threads", fail)
            with pytest.raises(Transient, match="killed its decoder"):
                await do(one, "hang")
        assert await do(one, "work") == (DONE, [b"blob", b""])


async def test_a_process_that_met_a_fault_is_never_reused() -> None:
    async with Pool.open(1, Limits(memory_mb=512)) as one:
        before = await pid_of_the_next(one)
        for what in ("refuse", "eat", "lie", "defect", "fail to read"):
            with pytest.raises((ImageError, Defect, Transient)):
                await do(one, what)
            after = await pid_of_the_next(one)
            assert after != before, what
            with pytest.raises(ProcessLookupError):
                os.kill(before, 0)
            before = after


async def test_a_process_is_replaced_after_its_number_of_images_and_no_slot_is_lost() -> None:
    async with Pool.open(2, Limits(memory_mb=512, decoder_jobs=3)) as worn:
        answers = await asyncio.gather(*(do(worn, "pid") for _ in range(12)))
        pids = Counter(answer.text for answer, _ in answers)
        assert pids.total() == 12
        assert max(pids.values()) == 3

        async def both_at_work() -> bool:
            return len({*await asyncio.gather(*(pid_of_the_next(worn) for _ in range(2)))}) == 2

        await eventually(both_at_work, "both slots")


async def test_a_successor_starts_before_there_is_work_for_it() -> None:
    async with Pool.open(1, Limits(memory_mb=512, decoder_jobs=1)) as worn:
        first = await pid_of_the_next(worn)

        async def successor() -> int | None:
            return next((pid for pid in decoding_processes() if pid != first), None)

        async def started() -> bool:
            return await successor() is not None

        await eventually(started, "a successor")
        assert await successor() == await pid_of_the_next(worn)


async def test_what_can_wait_gives_way(pool: Pool) -> None:
    ordinary = os.getpriority(os.PRIO_PROCESS, 0)
    async with Pool.open(1, pool.limits, background=True) as background:
        assert os.getpriority(os.PRIO_PROCESS, await pid_of_the_next(pool)) == ordinary
        assert os.getpriority(os.PRIO_PROCESS, await pid_of_the_next(background)) == min(ordinary + 10, 19)
        with pytest.raises(ImageError, match="crashed"):
            await do(background, "abort")
        assert os.getpriority(os.PRIO_PROCESS, await pid_of_the_next(background)) == min(ordinary + 10, 19)


async def test_a_job_that_is_cancelled_leaves_a_pool_that_works(pool: Pool) -> None:
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await do(pool, "hang")
    answer, _ = await do(pool, "work")
    assert answer == DONE


async def test_no_process_outlives_the_pool(pool: Pool) -> None:
    async with Pool.open(2, pool.limits) as other:
        answers = await asyncio.gather(*(do(other, "pid") for _ in range(2)))
        pids = {int(answer.text) for answer, _ in answers}
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
