"""Notices a second process of the embedded default on the same buckets.

Two processes lose nothing, because the buckets are the truth. But each receives only its own events. So clients of one
process see later what the other has done, and each may do again what the other has in hand.
"""

import asyncio
from pathlib import Path

import structlog

from common.backoff import jittered
from common.errors import Transient
from common.storage.base import Storage
from publisher.maintenance.lock import Lock

log = structlog.get_logger()

LOCK = "locks/standalone"
_INTERVAL = 60.0  # seconds between looks while another process has the lock


async def warn_unless_alone(incoming: Storage, temporary: Path) -> None:
    """Hold the lock until cancelled; while another process has it, say so. `temporary` is a folder for a file."""
    lock = Lock(incoming, LOCK, temporary)
    warned = False
    while True:
        try:
            async with lock.hold() as held:
                if held:
                    if warned:
                        log.info("no other process serves these buckets any more")
                    await asyncio.Event().wait()
        except Transient as fault:
            log.warning("it cannot be seen whether another process serves these buckets", reason=str(fault))
        else:
            if not warned:
                log.warning(
                    "another process serves these buckets, or died within the last ten minutes: expected one process, "
                    "or the separate services with a broker; nothing is lost",
                    lock=LOCK,
                )
                warned = True
        await asyncio.sleep(jittered(_INTERVAL))
