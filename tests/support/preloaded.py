"""Commands of the services, each in a process of its own that has loaded them already: a twentieth of a start.

Run as a program, this loads all services once. Each connection to its socket orders a command, which a fork runs.
"""

import asyncio
import atexit
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
from functools import cache
from pathlib import Path

SERVICES = ("ingest", "resizer", "publisher", "migrator", "standalone")
# Where services are deployed there are no tools of the tests, and rich among them. (Every process would load it, and
# the certificates of all authorities, for a quarter of its start.)
AS_DEPLOYED = {"PYTHONPATH": str(Path(__file__).parent / "as_deployed"), "SSL_CERT_FILE": os.devnull}


async def run_loaded(*command: str, environment: Mapping[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    """What `python -m` with the command does, in this folder."""
    reader, writer = await asyncio.open_unix_connection(_socket())
    order = {"command": command, "environment": dict(environment), "folder": str(folder)}
    writer.write(json.dumps(order).encode() + b"\n")
    try:
        status, output, errors = json.loads(await reader.read())
    finally:
        writer.close()
    return subprocess.CompletedProcess(["python", "-m", *command], status, output, errors)


@cache
def _socket() -> str:
    """Where this process's own one listens. It ends when this process does."""
    path = f"{tempfile.mkdtemp()}/orders"
    server = subprocess.Popen(
        [sys.executable, __file__, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | AS_DEPLOYED
    )
    assert server.stdout is not None
    assert server.stdout.readline() == b"ready\n"
    atexit.register(server.communicate)
    return path


def _serve(path: str) -> None:
    for service in SERVICES:
        importlib.import_module(f"{service}.__main__")
        del sys.modules[f"{service}.__main__"]  # what it imports stays, and is all that costs
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for what is forked
        while listening in select.select([listening, sys.stdin], [], [])[0]:
            connection, _ = listening.accept()
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _answer(connection)
                return
            connection.close()


def _answer(connection: socket.socket) -> None:
    """Run what is ordered, and say how it has ended and what it has written."""
    with (
        connection,
        tempfile.TemporaryFile() as nothing,
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
    ):
        order = json.loads(connection.makefile().readline())
        child = os.fork()
        if child == 0:
            for descriptor, file in enumerate((nothing, out, err)):
                os.dup2(file.fileno(), descriptor)
            _run(**order)
            return
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        texts = [os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode() for file in (out, err)]
        connection.sendall(json.dumps([status, *texts]).encode())


def _run(command: list[str], environment: dict[str, str], folder: str) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    tempfile.tempdir = None
    sys.argv = command
    runpy.run_module(command[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _serve(sys.argv[1])
