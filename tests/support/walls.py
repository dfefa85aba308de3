"""What code that has taken a decoding process over would try: each attempt says `done`, or what denied it."""

import ctypes
import mmap
import os
import resource
import signal
import socket
from collections.abc import Callable
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_PTRACE_ATTACH = 16
_PARENT = os.getppid()  # asked before there are walls


class _Memory(ctypes.Structure):
    _fields_ = (("begin", ctypes.c_void_p), ("length", ctypes.c_size_t))


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


def _connect(family: socket.AddressFamily, kind: socket.SocketKind, address: object) -> None:
    with socket.socket(family, kind) as connection:
        if isinstance(address, (str, tuple)):
            connection.bind(address)


_ATTEMPTS: dict[str, Callable[[Path], object]] = {
    "another upload": lambda target: (target / "upload").read_bytes(),
    "an object of a bucket": lambda target: (target / "incoming" / "1475660224_1.jpg").read_bytes(),
    "the accounts of the machine": lambda _: Path("/etc/passwd").read_bytes(),
    "its parent's environment": lambda _: Path(f"/proc/{_PARENT}/environ").read_bytes(),
    "its parent's memory": lambda _: os.open(f"/proc/{_PARENT}/mem", os.O_RDONLY),
    "write": _write,
    "rename": lambda target: (target / "upload").rename(target / "renamed"),
    "remove": lambda target: (target / "upload").unlink(),
    "truncate": lambda target: os.truncate(target / "upload", 0),
    "tcp": lambda _: _connect(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
    "udp": lambda _: _connect(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
    "unix": lambda _: _connect(socket.AF_UNIX, socket.SOCK_STREAM, None),
    "fork": _fork,
    "execute": lambda _: os.execv("/bin/true", ["true"]),
    "trace its parent": _trace,
    "read its parent": _read_memory,
    "kill its parent": lambda _: os.kill(_PARENT, signal.SIGCONT),
    "raise its limits": lambda _: resource.setrlimit(resource.RLIMIT_CPU, (10_000, resource.RLIM_INFINITY)),
    "executable memory": lambda _: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC),
}


def _said(attempt: Callable[[Path], object]) -> Callable[[Path], str]:
    def tried(target: Path) -> str:
        try:
            attempt(target)
        except PermissionError as error:
            return f"denied: {error.strerror}"
        except (OSError, ValueError) as error:
            return f"denied: {error}" if "not allowed" in str(error) else f"failed: {error}"
        return "done"

    return tried


ATTEMPTS: dict[str, Callable[[Path], str]] = {name: _said(attempt) for name, attempt in _ATTEMPTS.items()}
