"""The memory that a decoding process and the service share: the process writes the blobs of its answers there.

Through a pipe each blob would be copied four times, in pieces that wake both sides: a millisecond of CPU time a photo.
"""

import fcntl
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


class AnswerMemory:
    """The service's side. It takes up what is written there, and no more, however large it may become."""

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory

    @classmethod
    @contextmanager
    def shared(cls, most: int) -> Iterator[tuple["AnswerMemory", int]]:
        """Memory of `most` bytes, and its descriptor, which a process inherits; it is closed with the context.

        Its size is sealed: no process can make it shorter under a reader. Raises OSError.
        """
        descriptor = os.memfd_create("answers", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(descriptor, most)
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
            yield cls(mmap.mmap(descriptor, most)), descriptor
        finally:
            os.close(descriptor)

    def take(self, sizes: list[int]) -> list[bytes]:
        """The blobs of these sizes in bytes, one after another. Nothing of them is left there.

        Raises ValueError for sizes that the memory cannot hold.
        """
        if any(size < 0 for size in sizes) or sum(sizes) > len(self._memory):
            raise ValueError(f"blobs of {sizes} bytes, in memory of {len(self._memory)}")
        blobs, start = [], 0
        for size in sizes:
            blobs.append(self._memory[start : start + size])
            start += size
        self.clear()
        return blobs

    def clear(self) -> None:
        """Give back the memory that a process has written to, also where no answer named it."""
        self._memory.madvise(mmap.MADV_REMOVE)


def write_blobs(memory: mmap.mmap, blobs: list[bytes]) -> None:
    """The process' side: write the blobs there, one after another. Raises MemoryError where they do not fit."""
    if sum(map(len, blobs)) > len(memory):
        raise MemoryError
    start = 0
    for blob in blobs:
        memory[start : start + len(blob)] = blob
        start += len(blob)
