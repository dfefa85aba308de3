"""Landlock: a process gives up, for good, opening any file but those that it names.

The kernel's own description: https://docs.kernel.org/userspace-api/landlock.html. Constants are those of
`linux/landlock.h`. Three system calls through `ctypes` are all that is needed.
"""

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_VERSION = 1  # flag of create_ruleset: tell the ABI instead
_PATH_BENEATH = 1
_PR_SET_NO_NEW_PRIVS = 38

_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
# How many rights over files each ABI knows: 13 at first, then REFER, TRUNCATE and IOCTL_DEV.
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_NETWORK_SINCE, _BIND_AND_CONNECT_TCP = 4, 0b11
_SCOPES_SINCE, _ABSTRACT_SOCKETS_AND_SIGNALS = 6, 0b11


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


_libc = ctypes.CDLL(None, use_errno=True)


def abi() -> int:
    """The version of Landlock that the kernel offers; 0 where it offers none."""
    found: int = _libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION))
    return max(0, found)


def restrict(readable: Iterable[Path]) -> int:
    """Leave this thread, and those that it starts, nothing but reading `readable`: files, and all below folders.

    Nothing can be written, executed, bound or connected to, and no process outside be signalled, as far as the kernel's
    ABI goes. Returns that ABI; 0, and nothing is done, where there is no Landlock. Raises OSError.
    """
    version = abi()
    if version == 0:
        return 0
    rights = (1 << _FILE_RIGHTS.get(version, max(_FILE_RIGHTS.values()))) - 1
    ruleset = _Ruleset(
        files=rights,
        network=_BIND_AND_CONNECT_TCP if version >= _NETWORK_SINCE else 0,
        scopes=_ABSTRACT_SOCKETS_AND_SIGNALS if version >= _SCOPES_SINCE else 0,
    )
    descriptor = _checked(_libc.syscall(_CREATE_RULESET, ctypes.byref(ruleset), _size(version), ctypes.c_uint32(0)))
    try:
        for path in readable:
            _allow(descriptor, path)
        _checked(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        _checked(_libc.syscall(_RESTRICT_SELF, descriptor, ctypes.c_uint32(0)))
    finally:
        os.close(descriptor)
    return version


def _size(version: int) -> ctypes.c_size_t:
    """How many bytes of the ruleset this ABI knows."""
    fields = 3 if version >= _SCOPES_SINCE else 2 if version >= _NETWORK_SINCE else 1
    return ctypes.c_size_t(8 * fields)


def _allow(ruleset: int, path: Path) -> None:
    try:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # it is not there, or leads round in a circle: then nobody can read it
        return
    try:
        rights = _READ_FILE | (_READ_DIR if path.is_dir() else 0)
        beneath = _Beneath(allowed=rights, parent=parent)
        _checked(_libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(beneath), ctypes.c_uint32(0)))
    finally:
        os.close(parent)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"Landlock: {os.strerror(number)}")
    return result
