"""How the benchmarks print what they find."""

import os
import resource
import statistics
from collections.abc import Iterable
from pathlib import Path


def say(line: str = "") -> None:
    """Print a line at once."""
    print(line, flush=True)  # noqa: T201


def median(runs: Iterable[dict[str, float]], key: str) -> float:
    """The median of one figure over the runs."""
    return statistics.median(run[key] for run in runs)


def percentile(values: list[float], share: float) -> float:
    """The value that this share (0 to 1) of the values does not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def cpu_seconds() -> float:
    """The CPU time of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def machine_cpu_seconds() -> float:
    """The CPU time of all processes of this machine so far; proc_stat(5): user, nice, system, and interrupts."""
    user, nice, system, _idle, _wait, irq, softirq = Path("/proc/stat").read_text().split()[1:8]
    return sum(map(int, (user, nice, system, irq, softirq))) / os.sysconf("SC_CLK_TCK")
