"""A service's secrets are closed to its decoding processes, which run as the same user."""

import asyncio
import subprocess
import sys
from pathlib import Path

from tests.support.deployment import SECRET, Deployment
from tests.support.pictures import photo
from tests.support.unprivileged import unprivileged


def reading(path: str) -> subprocess.CompletedProcess[bytes]:
    """What a process of the services' user gets."""
    return subprocess.run(unprivileged("head", "-c", "100000", path), capture_output=True, check=False, timeout=30)


async def test_no_process_of_the_same_user_reads_environment_or_memory(tmp_path: Path) -> None:
    async with Deployment.prepared("embedded", tmp_path) as deployment:
        (tmp_path / "temp").mkdir()
        await asyncio.to_thread(subprocess.run, ["chmod", "-R", "a+rwX", str(tmp_path)], check=True)
        deployment.python = tuple(unprivileged(sys.executable))
        await deployment.start()
        name = await deployment.uploaded(photo(300, 200))
        await deployment.wait_for(deployment.buckets.incoming, f"{name[:-4]}.json")
        process = deployment.processes["standalone"]
        for file in ("environ", "mem", "maps", "auxv", "io", "exe", "cwd/"):
            read = reading(f"/proc/{process.pid}/{file}")
            assert b"Permission denied" in read.stderr, file
            assert SECRET.encode() not in read.stdout
        # The same user's other processes are open to it: what closes this one is what it does itself.
        other = await asyncio.create_subprocess_exec(
            *unprivileged("sh", "-c", "echo started; exec sleep 60"), env=deployment.environment, stdout=subprocess.PIPE
        )
        try:
            assert other.stdout
            # Until then it is still the program that changes the user, which is closed to that user.
            assert await other.stdout.readline() == b"started\n"
            assert SECRET.encode() in reading(f"/proc/{other.pid}/environ").stdout
        finally:
            other.kill()
            await other.communicate()
        async with deployment.http.get(f"http://127.0.0.1:{process.metrics_port}/metrics") as answer:
            assert "process_open_fds" in await answer.text(), "what it needs of its own is there"
