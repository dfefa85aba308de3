"""The filter of system calls, run for every number on every architecture and held against the table below.

Numbers are those of asm/unistd_64.h (x86-64) and asm-generic/unistd.h (arm64). A dash: it is not there.
"""

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations

import pytest
from tests.support.bpf import Instruction, decision

from common.sandbox.seccomp import program

ALLOW, DENY, UNKNOWN = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS

# AUDIT_ARCH_* of linux/audit.h
X86_64, AARCH64 = 0xC000003E, 0xC00000B7
OTHERS = {"i386": 0x40000003, "arm": 0x40000028, "x86-64 big-endian": 0x4000003E, "none": 0}
X32 = 0x40000000  # a bit of the number, on x86-64

WHATEVER = """
read 0 63        readv 19 65       pread64 17 67    write 1 64         writev 20 66     close 3 57
lseek 8 62       dup 32 23         recvmsg 47 212   poll 7 -           ppoll 271 73
stat 4 -         lstat 6 -         fstat 5 80       newfstatat 262 79  statx 332 291    statfs 137 43
fstatfs 138 44   access 21 -       faccessat 269 48 faccessat2 439 439 readlink 89 -    readlinkat 267 78
getdents64 217 61                  getcwd 79 17
munmap 11 215    mremap 25 216     brk 12 214       madvise 28 233
futex 202 98     set_robust_list 273 99             rseq 334 293       exit 60 93       exit_group 231 94
rt_sigaction 13 134                rt_sigprocmask 14 135               rt_sigreturn 15 139
sigaltstack 131 132                restart_syscall 219 128             sched_yield 24 124
sched_getaffinity 204 123          getpid 39 172    gettid 186 178     getuid 102 174   geteuid 107 175
getgid 104 176   getegid 108 177   getrusage 98 165 getrandom 318 278  sysinfo 99 179   uname 63 160
clock_gettime 228 113              clock_nanosleep 230 115             nanosleep 35 101
gettimeofday 96 169                times 100 153
"""
DEPENDING = "open 2 - openat 257 56 fcntl 72 25 mmap 9 222 mprotect 10 226 clone 56 220 prctl 157 167 tgkill 234 131"
DEPENDING += " prlimit64 302 261"

# O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, O_APPEND and __O_TMPFILE of asm-generic/fcntl.h
WRITING = 0o1 | 0o2 | 0o100 | 0o1000 | 0o2000 | 0o20000000
F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC = 0, 1, 2, 3, 1030
PROT_EXEC, MAP_SHARED, MAP_ANONYMOUS, MAP_GROWSDOWN = 0x4, 0x1, 0x20, 0x100
CLONE_THREAD = 0x10000
# CLONE_NEWTIME, NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
NAMESPACES = 0x80 | 0x20000 | 0x2000000 | 0x4000000 | 0x8000000 | 0x10000000 | 0x20000000 | 0x40000000
PR_SET_NAME = 15

Arguments = Sequence[int]


def low(argument: int) -> int:
    """What a call sees that takes 32 bits."""
    return argument & 0xFFFFFFFF


def maps(arguments: Arguments) -> bool:
    """Memory that is not executable, does not grow like a stack, and is not shared unless it is a file's."""
    protection, flags = arguments[2], arguments[3]
    shared_anonymous = bool(flags & MAP_SHARED and flags & MAP_ANONYMOUS)
    return not protection & PROT_EXEC and not flags & MAP_GROWSDOWN and not shared_anonymous


ALLOWED_IF: dict[str, Callable[[Arguments], bool]] = {
    "open": lambda arguments: not arguments[1] & WRITING,
    "openat": lambda arguments: not arguments[2] & WRITING,
    "fcntl": lambda arguments: low(arguments[1]) in {F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC},
    "mmap": maps,
    "mprotect": lambda arguments: not arguments[2] & PROT_EXEC,
    "clone": lambda arguments: bool(arguments[0] & CLONE_THREAD) and not arguments[0] & NAMESPACES,
    "prctl": lambda arguments: low(arguments[0]) == PR_SET_NAME,
    "tgkill": lambda arguments: low(arguments[0]) == os.getpid(),
    "prlimit64": lambda arguments: arguments[2] == 0,
}

MACHINES = {"x86_64": (X86_64, 0), "aarch64": (AARCH64, 1)}


def numbered(text: str, column: int) -> dict[int, str]:
    words = text.split()
    numbers = zip(words[::3], (words[1::3], words[2::3])[column], strict=True)
    return {int(number): name for name, number in numbers if number != "-"}


def words() -> Iterator[int]:
    """Arguments worth a try: small ones, each bit, each two bits of a word, all of them, and this process."""
    yield from range(64)
    yield from (1030, os.getpid(), os.getpid() | 1 << 40, (1 << 32) - 1, (1 << 64) - 1)
    bits = [1 << bit for bit in range(64)]
    yield from bits
    yield from (one | other for one, other in combinations(bits[:33], 2))


def vectors(name: str) -> Iterator[Arguments]:
    """One argument that is worth a try, and the others 0 or what the call is allowed with."""
    usual = {
        "mmap": [0, 4096, 3, 0x22, -1, 0],
        "clone": [CLONE_THREAD, 0, 0, 0, 0, 0],
        "prctl": [PR_SET_NAME, 0, 0, 0, 0, 0],
        "tgkill": [os.getpid(), 0, 0, 0, 0, 0],
    }
    for others in ([0] * 6, usual.get(name, [0] * 6)):
        for place in range(6):
            for word in words():
                yield [*others[:place], word, *others[place + 1 :]]
    if name == "clone":
        yield from ([word | CLONE_THREAD, 0, 0, 0, 0, 0] for word in words())


def every_number() -> Iterator[int]:
    """All that a kernel may know, those of x32, and some that none knows."""
    yield from range(1024)
    yield from range(X32, X32 + 1024)
    yield from (1 << 31, (1 << 31) + 59, (1 << 32) - 1)


@pytest.fixture(params=MACHINES)
def machine(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def filter_(machine: str) -> list[Instruction]:
    return program(machine)


ALL_ONES = [(1 << 64) - 1] * 6


def test_every_number_is_denied_unless_it_is_in_the_table(machine: str, filter_: list[Instruction]) -> None:
    architecture, column = MACHINES[machine]
    whatever, depending = numbered(WHATEVER, column), numbered(DEPENDING, column)
    assert set(depending.values()) == set(ALLOWED_IF) - ({"open"} if machine == "aarch64" else set())
    for number in every_number():
        if number in depending:
            continue
        expected = ALLOW if number in whatever else UNKNOWN if number == 435 else DENY  # 435: clone3
        for arguments in ([0] * 6, ALL_ONES):
            assert decision(filter_, number, architecture, arguments) == expected, number


def test_what_depends_on_arguments(machine: str, filter_: list[Instruction]) -> None:
    architecture, column = MACHINES[machine]
    for number, name in numbered(DEPENDING, column).items():
        found = set()
        for arguments in vectors(name):
            allowed = ALLOWED_IF[name](arguments)
            found.add(allowed)
            assert decision(filter_, number, architecture, arguments) == (ALLOW if allowed else DENY), (name, arguments)
        assert found == {True, False}, name


@pytest.mark.parametrize("other", OTHERS)
def test_no_number_of_another_architecture_is_allowed(other: str, machine: str, filter_: list[Instruction]) -> None:
    for number in every_number():
        for arguments in ([0] * 6, ALL_ONES, [PR_SET_NAME, 0, 0, 0, 0, 0], [CLONE_THREAD, 0, 0, 0, 0, 0]):
            assert decision(filter_, number, OTHERS[other], arguments) == DENY, number
    native = {X86_64, AARCH64} - {MACHINES[machine][0]}
    assert {decision(filter_, number, architecture) for number in range(1024) for architecture in native} == {DENY}
