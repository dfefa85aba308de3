"""Commands of a service, run to their end on a deployment; and objects that look older than they are."""

import asyncio
import os
import sys
import time

from tests.support.deployment import Deployment, keys
from tests.support.migration import Run
from tests.support.preloaded import run_loaded

from common.images.records import Record, encode_record
from common.storage.base import Storage

DAY = 86400.0
_CONTENT = {".json": encode_record(Record(configuration="other")), ".crop": b"10x10+0+0"}


async def begin(deployment: Deployment, *command: str, **settings: str) -> asyncio.subprocess.Process:
    """Start `python -m` with the command."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *command,
        env=deployment.environment | settings,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=deployment.folder,
    )


async def run(deployment: Deployment, *command: str, **settings: str) -> Run:
    """Run `python -m` with the command to its end."""
    environment = deployment.environment | settings
    ended = await run_loaded(*command, environment=environment, folder=deployment.folder)
    return Run(ended.returncode, ended.stdout, ended.stderr)


async def put(bucket: Storage, *names: str) -> None:
    """Objects under these keys; a record is one of other settings, so that there is no pending work."""
    for name in names:
        await bucket.put(name, _CONTENT.get(name[name.rfind(".") :], name.encode()))


def age(deployment: Deployment, seconds: float, *objects: str) -> None:
    """Have the objects (`incoming/KEY` or `active/KEY`, in folders) been written so many seconds ago."""
    when = time.time() - seconds
    for key in objects:
        os.utime(deployment.folder / key, (when, when))


async def everything(deployment: Deployment) -> set[str]:
    """All keys of both buckets, tombstones included."""
    buckets = {"incoming": deployment.buckets.incoming, "active": deployment.buckets.active}
    found = {f"{place}/{key}" for place, bucket in buckets.items() for key in await keys(bucket)}
    return found | {f"incoming/{entry.key}" async for entry in buckets["incoming"].entries("tombstones/")}
