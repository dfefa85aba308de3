"""A service as a process of its own: its signals, its log, its decoders, and what it takes."""

import asyncio
import json
import os
import resource
import signal
from contextlib import suppress
from pathlib import Path

from tests.support.preloaded import Preloaded


class Process:
    """One service process."""

    def __init__(
        self, name: str, process: asyncio.subprocess.Process | Preloaded, log: Path, port: int, metrics_port: int
    ) -> None:
        self.name = name
        self.metrics_port = metrics_port
        self.log = log
        self.url = f"http://127.0.0.1:{port}"
        self._process = process

    @property
    def pid(self) -> int:
        """Its process ID."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.returncode is None

    async def terminate(self) -> int:
        """SIGTERM, and wait for the end. Returns the exit status."""
        if self.running:
            self._process.send_signal(signal.SIGTERM)
        return await self._process.wait()

    async def kill(self) -> None:
        """SIGKILL: the worst moment for it is now."""
        if self.running:
            self._process.kill()
        await self._process.wait()

    def suspend(self) -> None:
        """SIGSTOP: it does nothing any more, and keeps all that it holds."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._process.send_signal(signal.SIGCONT)

    def cpu_seconds(self) -> float:
        """The CPU time of the process itself so far, without its children's."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def most_descriptors(self) -> int:
        """How many files the process may have open now."""
        return resource.prlimit(self._process.pid, resource.RLIMIT_NOFILE)[0]

    def decoders(self) -> list[int]:
        """Its decoding processes, oldest first."""
        return decoders_of(self._process.pid)

    def lines(self) -> list[dict[str, object]]:
        """What it has logged so far. A line that is just being written is left out."""
        whole = self.log.read_bytes().rpartition(b"\n")[0]
        return [json.loads(line) for line in whole.decode().splitlines() if line.startswith("{")]


def decoders_of(service: int) -> list[int]:
    """The decoding processes of a process, oldest first, which their numbers do not tell: Linux begins them anew."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            parent, started = int(fields[1]), int(fields[19])
            if parent == service and b"common.sandbox.worker" in (folder / "cmdline").read_bytes():
                found.append((started, int(folder.name)))
    return [pid for _, pid in sorted(found)]
