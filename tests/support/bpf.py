"""What a seccomp filter decides about a system call: an interpreter of the part of classic BPF that seccomp takes.

Instructions and their numbers: linux/bpf_common.h and https://docs.kernel.org/networking/filter.html. What a filter
looks at is `struct seccomp_data` of linux/seccomp.h.
"""

import struct
from collections.abc import Sequence

Instruction = tuple[int, int, int, int]  # operation, how many to skip where it holds and where not, value

_WORD = 0xFFFFFFFF
_MOST = 4096  # instructions; the kernel refuses longer programs


def decision(
    program: Sequence[Instruction], number: int, architecture: int, arguments: Sequence[int] = (0, 0, 0, 0, 0, 0)
) -> int:
    """What the filter returns. Raises ValueError for a program that the kernel would refuse."""
    if not 0 < len(program) <= _MOST:
        raise ValueError(f"{len(program)} instructions")
    data = struct.pack("<IIQ6Q", number & _WORD, architecture, 0, *(argument & (1 << 64) - 1 for argument in arguments))
    accumulator, at = 0, 0
    while True:
        operation, holds, fails, value = program[at]
        at += 1
        if operation == 0x20:  # load a word
            if value % 4:
                raise ValueError(f"a word at {value}")
            (accumulator,) = struct.unpack_from("<I", data, value)
        elif operation == 0x54:  # and
            accumulator &= value
        elif operation == 0x15:  # jump if equal
            at += holds if accumulator == value else fails
        elif operation == 0x45:  # jump if any bit is set in both
            at += holds if accumulator & value else fails
        elif operation == 0x06:  # return
            return value
        else:
            raise ValueError(f"operation {operation:#x}")
