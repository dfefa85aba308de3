"""What other processes of the same user may read of this one."""

import ctypes
import os

_PR_SET_DUMPABLE = 4  # linux/prctl.h


def become_undumpable() -> None:
    """Close memory and environment to other processes of the same user, such as our decoding ones. Raises OSError.

    By default Linux opens both to them, under /proc and by ptrace; prctl(2), PR_SET_DUMPABLE. Root can read them still.
    It ends with execve, so that every service asks for itself.
    """
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl(PR_SET_DUMPABLE): {os.strerror(number)}")
