"""Services and their commands, each in a process that has loaded them already: a twentieth of the cost of a start.

Run as a program, this loads all services once. Each connection to its socket orders one process, which it forks. What
it has started ends when it ends; and it ends when the process does that has started it, however that ends.
"""

import asyncio
import atexit
import ctypes
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack, closing, suppress
from functools import cache
from pathlib import Path
from typing import Any, Self

SERVICES = ("ingest", "resizer", "publisher", "migrator", "standalone")
# What a service loads only where its settings name it.
_WHERE_NAMED = ("common.messaging.rabbit", "common.storage.s3", "asyncpg")
# Where services are deployed there are no tools of the tests, and rich among them. (Every process would load it, and
# the certificates of all authorities, for a quarter of its start.)
AS_DEPLOYED = {"PYTHONPATH": str(Path(__file__).parent / "as_deployed"), "SSL_CERT_FILE": os.devnull}
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Preloaded:
    """A process that does what `python -m` with a command does, but for what /proc tells of its start.

    Its command line, and its environment there, are those of the process that it was forked from.
    """

    def __init__(self, pid: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._writer = writer
        self._ending = asyncio.create_task(self._end(reader))

    @classmethod
    async def start(cls, *command: str, environment: Mapping[str, str], folder: Path, out: Path, errors: Path) -> Self:
        """Start one in this folder; what it writes is added to these files."""
        reader, writer = await asyncio.open_unix_connection(_socket())
        order = {"command": command, "environment": dict(environment), "folder": str(folder)}
        writer.write(json.dumps(order | {"out": str(out), "errors": str(errors)}).encode() + b"\n")
        return cls(int(await reader.readline()), reader, writer)

    def send_signal(self, number: int) -> None:
        """Send it, unless the process has ended."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        """Wait for its end. Returns the exit status; the number of a signal, negated."""
        return await asyncio.shield(self._ending)

    async def _end(self, reader: asyncio.StreamReader) -> int:
        self.returncode = int(await reader.readline())
        self._writer.close()
        return self.returncode


async def run_loaded(*command: str, environment: Mapping[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    """What `python -m` with the command does, in this folder."""
    with tempfile.NamedTemporaryFile("r") as out, tempfile.NamedTemporaryFile("r") as errors:
        files = {"out": Path(out.name), "errors": Path(errors.name)}
        process = await Preloaded.start(*command, environment=environment, folder=folder, **files)
        try:
            status = await process.wait()
        finally:
            process.kill()
        return subprocess.CompletedProcess(["python", "-m", *command], status, out.read(), errors.read())


@cache
def _socket() -> str:
    """Where the process listens that starts those of this one."""
    path = f"{tempfile.mkdtemp()}/orders"
    server = subprocess.Popen(
        # -P: what lies beside this file is no module of the services.
        [sys.executable, "-P", __file__, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | AS_DEPLOYED,
    )
    assert server.stdout is not None
    assert server.stdout.readline() == b"ready\n"
    atexit.register(server.communicate)
    return path


def _load() -> None:
    for service in SERVICES:
        importlib.import_module(f"{service}.__main__")
        del sys.modules[f"{service}.__main__"]  # what it imports stays, and is all that costs
    for module in _WHERE_NAMED:
        importlib.import_module(module)
    with closing(asyncio.new_event_loop()) as loop:  # asyncio.run would leave its mark on the thread
        loop.run_until_complete(_describe_s3())
    gc.collect()
    gc.freeze()  # what is loaded stays, and is not looked at again: its memory is shared


async def _describe_s3() -> None:
    """Have the S3 library read its files, which is most of what a first client costs. None is asked for anything."""
    account = importlib.import_module("common.storage.s3.account")
    async with account.connect(account.S3Account("http://127.0.0.1", "none", "none")):
        pass


def _serve(path: str) -> dict[str, Any] | None:
    """Take orders until the standard input ends. Returns in a fork only: its order."""
    running: dict[int, tuple[int, socket.socket]] = {}  # by the descriptor that tells the end of a process
    with ExitStack() as mine:
        listening = mine.enter_context(socket.socket(socket.AF_UNIX))
        listening.bind(path)
        listening.listen()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        usual = signal.signal(signal.SIGINT, signal.SIG_IGN)  # that of a terminal is for the tests, which then end
        while sys.stdin not in (ready := select.select([listening, sys.stdin, *running], [], [])[0]):
            for ended in running.keys() & ready:
                os.close(ended)
                pid, connection = running.pop(ended)
                status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                with connection, suppress(BrokenPipeError):
                    connection.sendall(b"%d\n" % status)
            if listening in ready:
                connection, _ = listening.accept()
                with connection.makefile() as orders:
                    order: dict[str, Any] = json.loads(orders.readline())
                pid = os.fork()
                if pid == 0:
                    for descriptor, (_, other) in running.items():
                        os.close(descriptor)
                        other.close()
                    connection.close()
                    signal.signal(signal.SIGINT, usual)
                    return order
                running[os.pidfd_open(pid)] = pid, connection
                connection.sendall(b"%d\n" % pid)
    return None


def _run(command: list[str], environment: dict[str, str], folder: str, out: str, errors: str) -> None:
    for descriptor, (path, how) in enumerate(
        ((os.devnull, os.O_RDONLY), (out, os.O_WRONLY | os.O_APPEND), (errors, os.O_WRONLY | os.O_APPEND))
    ):
        opened = os.open(path, how)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    tempfile.tempdir = None
    sys.path.insert(0, folder)
    sys.argv = command
    runpy.run_module(command[0], run_name="__main__", alter_sys=True)


def _end_with(parent: int) -> None:
    """Have Linux end this process when its parent ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it had ended before
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    _load()
    itself = os.getpid()
    if (ordered := _serve(sys.argv[1])) is not None:
        _end_with(itself)
        _run(**ordered)
