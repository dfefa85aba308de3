"""What a process uses, as the system counts it. The process has no say in it."""

import os
import time
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")

# As clock_getcpuclockid(3) computes it: the clock of all threads' time on a CPU. Anyone may read it, where a process's
# entries in /proc may be hidden.
_CPU_CLOCK = 2


def cpu_seconds(pid: int) -> float:
    """The CPU time that the process has used so far; 0 when it is gone."""
    try:
        return time.clock_gettime((~pid << 3) | _CPU_CLOCK)
    except OSError:
        return 0.0


def threads(pid: int) -> int | None:
    """How many it has; None when it is gone, or when /proc is mounted so that it hides this (`hidepid`)."""
    try:
        # As bytes: the process chooses its name, which may be no text. proc_pid_stat(5), field 20.
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[17])
    except (OSError, ValueError, IndexError):
        return None


def memory_bytes(pid: int) -> int:
    """The memory that it has in use, with what it shares with others; 0 when it is gone, or hidden (`hidepid`)."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * _PAGE  # proc_pid_statm(5): resident
    except (OSError, ValueError, IndexError):
        return 0
