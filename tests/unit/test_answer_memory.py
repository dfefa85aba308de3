"""The memory in which a decoding process answers: the service takes what fits its form, and leaves nothing there."""

import mmap
import os

import pytest

from common.sandbox.answer_memory import AnswerMemory, write_blobs

MOST = 1 << 16


def test_blobs_come_back_in_their_order_and_nothing_stays() -> None:
    with AnswerMemory.shared(MOST) as (answers, descriptor):
        process = mmap.mmap(descriptor, MOST)
        write_blobs(process, [b"one", b"", b"three"])
        process[-4:] = b"more"  # what no answer tells of
        assert answers.take([3, 0, 5]) == [b"one", b"", b"three"]
        assert os.fstat(descriptor).st_blocks == 0
        assert process[:] == bytes(MOST)


@pytest.mark.parametrize("sizes", [[MOST + 1], [MOST, 1], [-1], [MOST, -1, 1], [1 << 62]])
def test_sizes_that_cannot_be_are_refused(sizes: list[int]) -> None:
    with AnswerMemory.shared(MOST) as (answers, _), pytest.raises(ValueError, match="blobs of"):
        answers.take(sizes)


def test_a_process_cannot_write_more_than_fits() -> None:
    with AnswerMemory.shared(MOST) as (_, descriptor), pytest.raises(MemoryError):
        write_blobs(mmap.mmap(descriptor, MOST), [bytes(MOST), b"x"])


@pytest.mark.parametrize("size", [0, MOST - 1, MOST + 1])
def test_a_process_cannot_change_its_size(size: int) -> None:
    with AnswerMemory.shared(MOST) as (_, descriptor), pytest.raises(PermissionError):
        os.ftruncate(descriptor, size)
