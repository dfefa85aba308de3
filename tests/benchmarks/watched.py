"""What a command costs: the time, its CPU time and its memory."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import NamedTuple

# Started from a small process of its own, since a child is said to have had the memory of what it was forked from.
_WATCHED = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[1:], check=False).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
sys.exit(status)
"""


class Cost(NamedTuple):
    """Seconds from start to end, CPU seconds, and the most memory of the process, in megabytes."""

    seconds: float
    cpu: float
    megabytes: float


async def cost_of(*command: str, environment: Mapping[str, str]) -> Cost:
    """What `python -m` with the command costs. It has to end well."""
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *("/usr/bin/env", "python3", "-c", _WATCHED, sys.executable, "-m", *command),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    output, errors = await process.communicate()
    seconds = time.monotonic() - began
    assert process.returncode == 0, (output, errors)
    cpu, megabytes = map(float, output.splitlines()[-1].split())
    return Cost(seconds, cpu, megabytes)
