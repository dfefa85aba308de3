"""Real servers for the tests: from the environment, else in Docker, else Debian's own, started privately.

Each is started once for a whole run, by whichever test process needs it first, and stopped by the one that began the
run. A server that cannot be had is an error: nothing is skipped.
"""

import fcntl
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

RUN = "IMAGE_BACKEND_TEST_RUN"  # the folder of this test run, shared by all its processes
_START_SECONDS = 120
_END_SECONDS = 10
_FIRST_PORT = 10_000
_launched: list[subprocess.Popen[bytes]] = []  # kept, because they outlive the test that started them

Addresses = dict[str, str]
Started = tuple[Addresses, "Stopper"]
Stopper = dict[str, str]


class Unavailable(Exception):
    """The way of getting a server that was tried does not work here."""


def begin_run() -> None:
    """Make the folder that the processes of this run share, and have all their temporary files in it."""
    os.environ[RUN] = tempfile.mkdtemp(prefix="image-backend-tests-")
    folder = Path(os.environ[RUN])
    folder.chmod(0o755)  # some servers run as users of their own
    temporary = folder / "temp"
    temporary.mkdir()
    temporary.chmod(0o1777)
    os.environ["TMPDIR"] = str(temporary)
    tempfile.tempdir = None  # what it was before the run is remembered otherwise


def end_run() -> None:
    """Stop every server that was started, and remove the folder."""
    folder = Path(os.environ.pop(RUN))
    for state in folder.glob("*.json"):
        stop(json.loads(state.read_text())["stop"])
    for process in _launched:
        process.wait()
    deadline = time.monotonic() + _END_SECONDS
    while folder.exists():  # of a run that was interrupted, a process may still be writing
        shutil.rmtree(folder, ignore_errors=time.monotonic() < deadline)


def shared(name: str, ways: list[Callable[[Path], Started]]) -> Addresses:
    """The addresses of the run's server `name`, which is started, in the first way that works, if it is not yet."""
    folder = Path(os.environ[RUN])
    state = folder / f"{name}.json"
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not state.exists():
            addresses, stopper = _first(name, ways, folder / name)
            state.write_text(json.dumps({"addresses": addresses, "stop": stopper}))
    found: Addresses = json.loads(state.read_text())["addresses"]
    return found


def _first(name: str, ways: list[Callable[[Path], Started]], folder: Path) -> Started:
    reasons = []
    for way in ways:
        try:
            return way(folder)
        except Unavailable as error:
            reasons.append(str(error))
    raise RuntimeError(f"no {name} server for the tests: {'; '.join(reasons)}")


def stop(stopper: Stopper) -> None:
    """Stop a server that was started here; one from the environment stays."""
    if "group" in stopper:
        group = int(stopper["group"])
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(group, number)
            except ProcessLookupError:
                return
            time.sleep(0.5)
    if "container" in stopper:
        subprocess.run(["docker", "rm", "-f", "-v", stopper["container"]], check=False, capture_output=True)
    if "project" in stopper:
        _remove_project(stopper["project"])


def to_stop(name: str, stopper: Stopper) -> None:
    """Have something stopped at the end of the run, if whoever started it does not get to it."""
    (Path(os.environ[RUN]) / f"{name}.json").write_text(json.dumps({"stop": stopper}))


def _remove_project(name: str) -> None:
    """Remove what is left of a project of containers, and of its images all but the layers."""
    label = f"label=com.docker.compose.project={name}"
    for kind, which, remove in (
        ("ps -a", label, "rm -f -v"),
        ("volume ls", label, "volume rm"),
        ("network ls", label, "network rm"),
        ("images", f"reference=*/*/*:{name}*", "rmi -f --no-prune"),
    ):
        found = subprocess.run(["docker", *kind.split(), "-q", "--filter", which], check=False, stdout=-1, text=True)
        if found.stdout:
            command = ["docker", *remove.split(), *found.stdout.split()]
            subprocess.run(command, check=False, capture_output=True)


def launch(command: list[str], folder: Path, environment: dict[str, str]) -> tuple[subprocess.Popen[bytes], Stopper]:
    """Start a server as a process group of its own; its output goes to a file in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=os.environ | environment,
        )
    _launched.append(process)
    return process, {"group": str(process.pid)}


def wait_for(what: str, is_there: Callable[[], bool], process: subprocess.Popen[bytes] | None = None) -> None:
    """Wait until `is_there`. Raises Unavailable when it takes too long, or the process ends instead."""
    deadline = time.monotonic() + _START_SECONDS
    while not is_there():
        if process is not None and process.poll() is not None:
            raise Unavailable(f"{what} ended with {process.returncode}")
        if time.monotonic() > deadline:
            raise Unavailable(f"{what} did not come up in {_START_SECONDS} s")
        time.sleep(0.2)


def answers(url: str) -> bool:
    """Whether something speaks HTTP there."""
    try:
        urllib.request.urlopen(url, timeout=2).close()
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False
    return True


def free_port() -> int:
    """A port that nothing listens on at this moment, and that nobody else in this run was given.

    It is none of those that the system gives to outgoing connections: one of them might have it by the time it is used.
    """
    with (Path(os.environ[RUN]) / "ports").open("a+") as taken:
        fcntl.flock(taken, fcntl.LOCK_EX)
        taken.seek(0)
        given = set(taken.read().split())
        while True:
            port = random.randrange(_FIRST_PORT, _first_outgoing_port())
            if str(port) not in given and _is_free(port):
                taken.write(f"{port}\n")
                return port


def _first_outgoing_port() -> int:
    return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
