"""A run of the tests leaves nothing, however it ends: no process, and no file in the system's temporary folder."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from tests.support.eventually import eventually
from tests.support.servers import RUN

# It needs the broker, a browser, and the services with what is in front of them.
_TEST = "tests/client/test_browser.py::test_a_browser_uploads_follows_and_shows"
_ROOT = Path(__file__).parents[2]


@pytest.fixture
def system() -> Iterator[Path]:
    """In the place of the system's temporary folder, where other users can get to it."""
    folder = Path(os.environ[RUN]) / f"system-{uuid4().hex[:8]}"
    folder.mkdir()
    folder.chmod(0o1777)
    yield folder
    for left in processes_of(folder):
        os.kill(left, signal.SIGKILL)


def processes_of(folder: Path) -> dict[int, str]:
    """Processes that were started with this folder in their environment, and their command lines."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder).encode() in (process / "environ").read_bytes():
                found[int(process.name)] = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # it has ended, or is somebody else's
            continue
    return found


@pytest.mark.xdist_group("runs")  # one after the other: each has all its servers to itself
@pytest.mark.timeout(400)
@pytest.mark.parametrize("interrupted", [False, True], ids=["to its end", "until Ctrl-C"])
async def test_a_run_leaves_nothing(system: Path, interrupted: bool) -> None:  # noqa: FBT001 - one of two ways to end
    ours = {RUN, "TMPDIR", "PYTEST_CURRENT_TEST", "PYTEST_XDIST_WORKER"}
    environment = {name: value for name, value in os.environ.items() if name not in ours} | {"TMPDIR": str(system)}
    # A shell has what it starts in the background ignore Ctrl-C.
    command = [
        "env",
        "--default-signal=INT",
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n",
        "1",
        "--dist",
        "loadgroup",
        _TEST,
        "-k",
        "rabbit-local",
    ]
    run = await asyncio.create_subprocess_exec(
        *command,
        cwd=_ROOT,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    output = asyncio.create_task(run.communicate())

    async def has_begun() -> bool:
        return any("chrom" in line for line in processes_of(system).values())

    await eventually(has_begun, "a browser", 300)
    if interrupted:
        os.killpg(run.pid, signal.SIGINT)
    text = (await output)[0].decode()
    # On a busy machine a page may take too long; what the run leaves is the same.
    ends = {pytest.ExitCode.INTERRUPTED} if interrupted else {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}
    assert run.returncode in ends, text
    assert list(system.iterdir()) == [], text  # noqa: ASYNC240 - a folder of a test
    assert processes_of(system) == {}, text
