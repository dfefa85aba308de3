"""Running a command as on a system without Landlock or seccomp: the kernel says that it has no such call.

Run as `python without_walls.py WALL[,WALL] COMMAND...`. A seccomp filter that stays over execve answers ENOSYS.
"""

import ctypes
import errno
import os
import platform
import struct
import sys

SCRIPT = __file__
_PR_SET_SECCOMP, _FILTER, _PR_SET_NO_NEW_PRIVS = 22, 2, 38
_LOAD, _IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000
_CALLS = {"landlock": 444, "seccomp": {"x86_64": 317, "aarch64": 277}[platform.machine()]}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def _take_away(walls: list[str]) -> None:
    instructions = [(_LOAD, 0, 0, 0)]
    for wall in walls:
        instructions += [(_IF_EQUAL, 0, 1, _CALLS[wall]), (_RETURN, 0, 0, _FAIL | errno.ENOSYS)]
    instructions.append((_RETURN, 0, 0, _ALLOW))
    packed = b"".join(struct.pack("HBBI", *instruction) for instruction in instructions)
    program = _Program(len(instructions), packed)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(_PR_SET_SECCOMP, _FILTER, ctypes.byref(program)):
        raise OSError(ctypes.get_errno(), "no filter")


if __name__ == "__main__":
    _take_away(sys.argv[1].split(","))
    os.execvp(sys.argv[2], sys.argv[2:])
