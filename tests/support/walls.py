"""What code that has taken a decoding process over would try: each attempt says `done`, or what denied it.

What it is tried on is a folder: see `tests/integration/test_walls.py`. Its name is the port of a server on loopback.
"""

import ctypes
import errno
import fcntl
import importlib
import mmap
import os
import platform
import resource
import signal
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_PTRACE_ATTACH = 16
_PARENT = os.getppid()  # asked before there are walls
ABSTRACT = "\0image-backend-walls-{}"  # the abstract socket that a test listens at, with its process
_GROWING, _EMPTY_PATH, _NEW_USER = 0x100, 0x1000, 0x10000000
_MPTCP, _FAST_OPEN = 262, 0x20000000
_INPUT_WAITING, _AT_CWD = 0x541B, -100
_PR_SET_DUMPABLE = 4
_LIBRARY = importlib.import_module("_cffi_backend").__file__ or ""  # a file that may be executed, and read
_PROGRAM = os.open("/bin/true", os.O_RDONLY | os.O_CLOEXEC)  # opened before there are walls
# System calls without a function in the C library, on x86-64 and on arm64.
_CALLS = {
    "tkill": (200, 130),
    "openat2": (437, 437),
    "tgkill": (234, 131),
    "add_key": (248, 217),
    "perf_event_open": (298, 241),
    "bpf": (321, 280),
    "execveat": (322, 281),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "pidfd_open": (434, 434),
}


# To ask for the process's number as a 32-bit program does, which is writev's number here: push rbx; mov eax, 20;
# int 0x80; pop rbx; ret. No memory can be made executable behind the walls, so it is made before.
_CODE = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
_CODE.write(bytes.fromhex("53 b8 14 00 00 00 cd 80 5b c3"))


class _Memory(ctypes.Structure):
    _fields_ = (("begin", ctypes.c_void_p), ("length", ctypes.c_size_t))


@contextmanager
def short(folder: Path) -> Iterator[str]:
    """Another name of the folder, as that of a socket has little room."""
    descriptor = os.open(folder, os.O_PATH)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _called(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _write(target: Path) -> None:
    descriptor = os.open(target / "new", os.O_WRONLY | os.O_CREAT, 0o600)
    os.close(descriptor)
    (target / "new").unlink()


def _fork(_: Path) -> None:
    if os.fork() == 0:
        os._exit(0)


def _trace(_: Path) -> None:
    _called(_libc.ptrace(_PTRACE_ATTACH, _PARENT, None, None))


def _read_memory(_: Path) -> None:
    buffer = ctypes.create_string_buffer(8)
    ours = _Memory(ctypes.addressof(buffer), 8)
    theirs = _Memory(ctypes.addressof(buffer), 8)
    _called(_libc.process_vm_readv(_PARENT, ctypes.byref(ours), 1, ctypes.byref(theirs), 1, 0))


def _write_memory(_: Path) -> None:
    """To an address where there is nothing, so that nothing breaks where it is allowed."""
    buffer = ctypes.create_string_buffer(8)
    ours, theirs = _Memory(ctypes.addressof(buffer), 8), _Memory(8, 8)
    _called(_libc.process_vm_writev(_PARENT, ctypes.byref(ours), 1, ctypes.byref(theirs), 1, 0))


def _open_for_writing(target: Path) -> None:
    how = struct.pack("QQQ", os.O_WRONLY, 0, 0)
    number = _CALLS["openat2"][platform.machine() == "aarch64"]
    _called(_libc.syscall(number, _AT_CWD, bytes(target / "upload"), how, len(how)))


def _make_executable(_: Path) -> None:
    with mmap.mmap(-1, 4096) as memory:
        address = ctypes.c_char.from_buffer(memory)
        try:
            protection = mmap.PROT_READ | mmap.PROT_EXEC
            _called(_libc.mprotect(ctypes.c_void_p(ctypes.addressof(address)), 4096, protection))
        finally:
            del address


def _32_bit_call(_: Path) -> None:
    found = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(_CODE)))()
    if found < 0:
        raise OSError(-found, os.strerror(-found))


def _bind(family: socket.AddressFamily, kind: socket.SocketKind) -> None:
    with socket.socket(family, kind) as made:
        made.bind(("127.0.0.1", 0))


def _connect(target: Path, protocol: int = 0) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, protocol) as connection:
        connection.connect(("127.0.0.1", int(target.name)))


def _connect_fast(target: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
        connection.sendto(b"x", _FAST_OPEN, ("127.0.0.1", int(target.name)))


def _send(target: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.sendto(b"x", ("127.0.0.1", int(target.name)))


def _ask_docker(target: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection, short(target) as folder:
        connection.connect(f"{folder}/docker.sock")


def _socket(family: int, kind: socket.SocketKind, protocol: int = 0) -> Callable[[Path], None]:
    return lambda _: socket.socket(family, kind, protocol).close()


def _call(name: str, *arguments: object) -> Callable[[Path], None]:
    number = _CALLS[name][platform.machine() == "aarch64"]
    return lambda _: _called(_libc.syscall(number, *arguments))


def _abstract(_: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(ABSTRACT.format(_PARENT))


def _unlimited(flags: int) -> Callable[[Path], None]:
    """A gigabyte of memory that this process may write to."""

    def take(_: Path) -> None:
        mmap.mmap(-1, 1 << 30, flags=flags | mmap.MAP_ANONYMOUS).close()

    return take


_ATTEMPTS: dict[str, Callable[[Path], object]] = {
    "another upload": lambda target: (target / "upload").read_bytes(),
    "an object of a bucket": lambda target: (target / "incoming" / "1475660224_1.jpg").read_bytes(),
    "the accounts of the machine": lambda _: Path("/etc/passwd").read_bytes(),
    "its parent's environment": lambda _: Path(f"/proc/{_PARENT}/environ").read_bytes(),
    "its parent's memory": lambda _: os.open(f"/proc/{_PARENT}/mem", os.O_RDONLY),
    "the names of other uploads": lambda target: list(target.iterdir()),
    "write": _write,
    "open for writing": lambda target: os.close(os.open(target / "upload", os.O_RDWR)),
    "open for writing by openat2": _open_for_writing,
    "link": lambda target: (target / "linked").hardlink_to(target / "upload"),
    "link by name": lambda target: (target / "linked").symlink_to(target / "upload"),
    "make a pipe": lambda target: os.mkfifo(target / "pipe"),
    "remove a folder": lambda target: (target / "incoming").rmdir(),
    "move to another folder": lambda target: (target / "upload").rename(target / "incoming" / "upload"),
    "make a folder": lambda target: (target / "made").mkdir(),
    "change a mode": lambda target: (target / "upload").chmod(0o600),
    "change a time": lambda target: os.utime(target / "upload"),
    "rename": lambda target: (target / "upload").rename(target / "renamed"),
    "remove": lambda target: (target / "upload").unlink(),
    "truncate": lambda target: os.truncate(target / "upload", 0),
    "take tcp connections": lambda _: _bind(socket.AF_INET, socket.SOCK_STREAM),
    "connect by tcp": _connect,
    "connect by mptcp": lambda target: _connect(target, _MPTCP),
    "connect by tcp fast open": _connect_fast,
    "take udp": lambda _: _bind(socket.AF_INET, socket.SOCK_DGRAM),
    "send by udp": _send,
    "a unix socket with a name": _ask_docker,
    "netlink": _socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "ciphers of the kernel": _socket(socket.AF_ALG, socket.SOCK_SEQPACKET),
    "abstract socket": _abstract,
    "pair of sockets": lambda _: socket.socketpair(),
    "fork": _fork,
    "execute": lambda _: os.execv("/bin/true", ["true"]),
    "execute what can be read": lambda _: os.execv(_LIBRARY, ["library"]),
    "execute a descriptor": _call("execveat", _PROGRAM, b"", None, None, _EMPTY_PATH),
    "trace its parent": _trace,
    "read its parent": _read_memory,
    "write its parent": _write_memory,
    "kill its parent": lambda _: os.kill(_PARENT, signal.SIGCONT),
    "signal a thread of its parent": _call("tgkill", _PARENT, _PARENT, int(signal.SIGCONT)),
    "signal a thread of anybody": _call("tkill", _PARENT, int(signal.SIGCONT)),
    "be signalled for its parent": lambda _: fcntl.fcntl(0, fcntl.F_SETOWN, _PARENT),
    "its parent's descriptors": _call("pidfd_open", _PARENT, 0),
    "namespaces": lambda _: _called(_libc.unshare(_NEW_USER)),
    "io_uring": _call("io_uring_setup", 1, None),
    "userfaultfd": _call("userfaultfd", 1),
    "bpf": _call("bpf", 0, None, 0),
    "performance counters": _call("perf_event_open", None, 0, -1, -1, 0),
    "keys": _call("add_key", b"user", b"key", b"x", 1, -3),
    "memory as a file": lambda _: os.close(os.memfd_create("memory")),
    "shared memory beyond its limit": _unlimited(mmap.MAP_SHARED),
    "a stack beyond its limit": _unlimited(mmap.MAP_PRIVATE | _GROWING),
    "memory beyond its limit": _unlimited(mmap.MAP_PRIVATE),
    "raise its limits": lambda _: resource.setrlimit(resource.RLIMIT_CPU, (10_000, resource.RLIM_INFINITY)),
    "control a device": lambda _: fcntl.ioctl(_PROGRAM, _INPUT_WAITING, bytes(4)),
    "be readable for others": lambda _: _called(_libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)),
    "make memory executable": _make_executable,
    "executable memory": lambda _: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC),
}


def _said(attempt: Callable[[Path], object]) -> Callable[[Path], str]:
    def tried(target: Path) -> str:
        try:
            attempt(target)
        except PermissionError as error:
            return f"denied: {error.strerror}"
        except MemoryError:
            return "denied: no memory"
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno == errno.ENOMEM:
                return "denied: no memory"
            return f"denied: {error}" if "not allowed" in str(error) else f"failed: {error}"
        return "done"

    return tried


if platform.machine() == "x86_64":
    _ATTEMPTS |= {
        "create": lambda target: _called(_libc.syscall(85, bytes(target / "upload"), 0o600)),
        "a call of 32 bits": _32_bit_call,
        "a call of x32": lambda _: _called(_libc.syscall(0x40000000 | 39)),
    }

ATTEMPTS: dict[str, Callable[[Path], str]] = {name: _said(attempt) for name, attempt in _ATTEMPTS.items()}
