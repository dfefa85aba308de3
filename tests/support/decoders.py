"""Work for decoding processes, and which processes do it."""

import os
from pathlib import Path

from tests.support.hostile import Act, Answer, act

from common.sandbox.pool import Pool

DONE = Answer(text="done", blobs=2)


async def do(pool: Pool, what: str) -> tuple[Answer, list[bytes]]:
    return await pool.run(act, Act(what=what, limits=pool.limits), Answer, None)


async def pid_of_the_next(pool: Pool) -> int:
    """The process that is given the next job, too."""
    answer, _ = await do(pool, "pid")
    return int(answer.text)


def decoding_processes() -> set[int]:
    """Those that this process has started."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return {int(pid) for pid in children if _is_decoding(pid)}


def _is_decoding(pid: str) -> bool:
    try:
        return b"common.sandbox.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
        return False
