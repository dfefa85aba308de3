"""seccomp: a process gives up, for good, every system call but those on a list.

A filter is a program for the kernel's packet filter that looks at a call's number and arguments:
https://docs.kernel.org/userspace-api/seccomp_filter.html. A call that the list does not allow fails with EPERM. The
list is what rendering was seen to need (`strace` over every format and the hostile files), and what the C library may
use in its place.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

_PR_SET_NO_NEW_PRIVS = 38
_SET_MODE_FILTER, _ALL_THREADS = 1, 1
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000  # the latter with an error number

# linux/bpf_common.h: load a word of `struct seccomp_data`, jump where it equals or has bits in common, mask it, return.
_LOAD, _IF_EQUAL, _IF_ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x45, 0x54, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16  # bytes

_CLONE_THREAD = 0x00010000
_CLONE_NAMESPACES = 0x7E020080
_PROT_EXEC = 4
# Memory of these kinds is not counted by RLIMIT_DATA: what is shared and no file's, and what grows as a stack does.
_SHARED_ANONYMOUS = 0x01 | 0x20
_GROWS_DOWN = 0x0100
_PR_SET_NAME = 15
_F_DUPFD, _F_GETFD, _F_SETFD, _F_GETFL, _F_DUPFD_CLOEXEC = 0, 1, 2, 3, 1030
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | (os.O_TMPFILE & ~os.O_DIRECTORY)


class AnyOf(NamedTuple):
    """Holds where the argument is one of the values (its lower 32 bits)."""

    argument: int
    values: tuple[int, ...]


class Has(NamedTuple):
    """Holds where the argument has one of the bits."""

    argument: int
    bits: int


class Lacks(NamedTuple):
    """Holds where the argument has none of the bits."""

    argument: int
    bits: int


class LacksOne(NamedTuple):
    """Holds where the argument lacks at least one of the bits."""

    argument: int
    bits: int


class Null(NamedTuple):
    """Holds where the argument, a pointer, is none."""

    argument: int


Condition = AnyOf | Has | Lacks | LacksOne | Null


class Call(NamedTuple):
    """A system call that is allowed where all conditions hold: its number on x86-64 and on arm64, where it exists."""

    name: str
    x86_64: int
    aarch64: int | None
    conditions: tuple[Condition, ...] = ()


def _calls() -> tuple[Call, ...]:
    return (
        # input and output on descriptors that are there
        Call("read", 0, 63),
        Call("readv", 19, 65),
        Call("pread64", 17, 67),
        Call("write", 1, 64),
        Call("writev", 20, 66),
        Call("close", 3, 57),
        Call("lseek", 8, 62),
        Call("dup", 32, 23),
        Call("fcntl", 72, 25, (AnyOf(1, (_F_DUPFD, _F_GETFD, _F_SETFD, _F_GETFL, _F_DUPFD_CLOEXEC)),)),
        Call("recvmsg", 47, 212),
        Call("poll", 7, None),
        Call("ppoll", 271, 73),
        # looking at files, and reading them: which ones is Landlock's to say
        Call("open", 2, None, (Lacks(1, _WRITING),)),
        Call("openat", 257, 56, (Lacks(2, _WRITING),)),
        Call("stat", 4, None),
        Call("lstat", 6, None),
        Call("fstat", 5, 80),
        Call("newfstatat", 262, 79),
        Call("statx", 332, 291),
        Call("statfs", 137, 43),
        Call("fstatfs", 138, 44),
        Call("access", 21, None),
        Call("faccessat", 269, 48),
        Call("faccessat2", 439, 439),
        Call("readlink", 89, None),
        Call("readlinkat", 267, 78),
        Call("getdents64", 217, 61),
        Call("getcwd", 79, 17),
        # memory, none of it executable, and all of it counted
        Call("mmap", 9, 222, (Lacks(2, _PROT_EXEC), Lacks(3, _GROWS_DOWN), LacksOne(3, _SHARED_ANONYMOUS))),
        Call("mprotect", 10, 226, (Lacks(2, _PROT_EXEC),)),
        Call("munmap", 11, 215),
        Call("mremap", 25, 216),
        Call("brk", 12, 214),
        Call("madvise", 28, 233),
        # threads of this process, and their signals
        Call("clone", 56, 220, (Has(0, _CLONE_THREAD), Lacks(0, _CLONE_NAMESPACES))),
        Call("futex", 202, 98),
        Call("set_robust_list", 273, 99),
        Call("rseq", 334, 293),
        Call("prctl", 157, 167, (AnyOf(0, (_PR_SET_NAME,)),)),
        Call("rt_sigaction", 13, 134),
        Call("rt_sigprocmask", 14, 135),
        Call("rt_sigreturn", 15, 139),
        Call("sigaltstack", 131, 132),
        Call("tgkill", 234, 131, (AnyOf(0, (os.getpid(),)),)),  # abort()
        Call("exit", 60, 93),
        Call("exit_group", 231, 94),
        Call("restart_syscall", 219, 128),
        Call("sched_yield", 24, 124),
        Call("sched_getaffinity", 204, 123),
        # asking about itself and the time
        Call("getpid", 39, 172),
        Call("gettid", 186, 178),
        Call("getuid", 102, 174),
        Call("geteuid", 107, 175),
        Call("getgid", 104, 176),
        Call("getegid", 108, 177),
        Call("getrusage", 98, 165),
        Call("prlimit64", 302, 261, (Null(2),)),
        Call("getrandom", 318, 278),
        Call("sysinfo", 99, 179),
        Call("uname", 63, 160),
        Call("clock_gettime", 228, 113),
        Call("clock_nanosleep", 230, 115),
        Call("nanosleep", 35, 101),
        Call("gettimeofday", 96, 169),
        Call("times", 100, 153),
    )


_CLONE3 = 435  # on both architectures
_AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # linux/audit.h
_SECCOMP = {"x86_64": 317, "aarch64": 277}

Instruction = tuple[int, int, int, int]  # operation, how many to skip where it holds and where not, value


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def confine() -> bool:
    """Leave this process, with all its threads, the calls on the list.

    Returns False, and does nothing, where the architecture is not on the list or the kernel has no seccomp. Raises
    OSError.
    """
    machine = os.uname().machine
    if machine not in _AUDIT:
        return False
    packed = b"".join(struct.pack("HBBI", *instruction) for instruction in program(machine))
    filter_ = _Program(len(packed) // 8, packed)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.syscall(
        _SECCOMP[machine], _SET_MODE_FILTER, _ALL_THREADS, ctypes.byref(filter_)
    ):
        number = ctypes.get_errno()
        if number in (errno.ENOSYS, errno.EINVAL):
            return False
        raise OSError(number, f"seccomp: {os.strerror(number)}")
    return True


def program(machine: str) -> list[Instruction]:
    """The filter for an architecture."""
    fail = (_RETURN, 0, 0, _FAIL | errno.EPERM)
    instructions = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_IF_EQUAL, 1, 0, _AUDIT[machine]),
        fail,
        (_LOAD, 0, 0, _NUMBER_AT),
    ]
    for call in _calls():
        number = call.x86_64 if machine == "x86_64" else call.aarch64
        if number is not None:
            block = [*(one for condition in call.conditions for one in _checked(condition)), (_RETURN, 0, 0, _ALLOW)]
            instructions += [(_IF_EQUAL, 0, len(block), number), *block]
    # The C library then uses `clone`, whose flags can be looked at.
    return [*instructions, (_IF_EQUAL, 0, 1, _CLONE3), (_RETURN, 0, 0, _FAIL | errno.ENOSYS), fail]


def _checked(condition: Condition) -> Iterator[Instruction]:
    """Instructions that fail the call unless the condition holds."""
    at = _ARGUMENTS_AT + 8 * condition.argument  # both architectures have the lower half first
    fail = (_RETURN, 0, 0, _FAIL | errno.EPERM)
    yield _LOAD, 0, 0, at
    if isinstance(condition, AnyOf):
        for left, value in zip(range(len(condition.values), 0, -1), condition.values, strict=True):
            yield _IF_EQUAL, left, 0, value
    elif isinstance(condition, Has):
        yield _IF_ANY_BIT, 1, 0, condition.bits
    elif isinstance(condition, Lacks):
        yield _IF_ANY_BIT, 0, 1, condition.bits
    elif isinstance(condition, LacksOne):
        yield _AND, 0, 0, condition.bits
        yield _IF_EQUAL, 0, 1, condition.bits
    else:
        yield _IF_EQUAL, 0, 2, 0
        yield _LOAD, 0, 0, at + 4
        yield _IF_EQUAL, 1, 0, 0
    yield fail
