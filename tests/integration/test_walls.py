"""What an image that has taken its decoding process over is kept from: by both walls, and by each alone."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.hostile import Act, Answer, act
from tests.support.walls import ABSTRACT, ATTEMPTS

from common.errors import SettingsError
from common.sandbox.pool import Pool
from common.sandbox.protocol import Limits

REPOSITORY = Path(__file__).parents[2]

# What either wall holds back by itself. seccomp does not know files by name, so that reading is Landlock's alone;
# Landlock does not know new processes, modes of files and UDP, which are seccomp's alone.
_LANDLOCK = {
    "another upload",
    "an object of a bucket",
    "the accounts of the machine",
    "its parent's environment",
    "its parent's memory",
    "write",
    "rename",
    "remove",
    "truncate",
    "the names of other uploads",
    "open for writing",
    "link",
    "link by name",
    "make a folder",
    "tcp",
    "abstract socket",
    "execute",
    "trace its parent",
    "read its parent",
    "kill its parent",
    "signal a thread of its parent",
}
_SECCOMP = {
    "write",
    "rename",
    "remove",
    "truncate",
    "open for writing",
    "link",
    "link by name",
    "make a folder",
    "change a mode",
    "change a time",
    "tcp",
    "udp",
    "unix",
    "abstract socket",
    "pair of sockets",
    "fork",
    "execute",
    "execute a descriptor",
    "trace its parent",
    "read its parent",
    "kill its parent",
    "signal a thread of its parent",
    "be signalled for its parent",
    "its parent's descriptors",
    "namespaces",
    "io_uring",
    "userfaultfd",
    "bpf",
    "performance counters",
    "keys",
    "memory as a file",
    "shared memory beyond its limit",
    "a stack beyond its limit",
    "raise its limits",
    "executable memory",
}

_ALONE = """
import json, sys
from pathlib import Path
import common.sandbox.walls as walls
from tests.support.walls import ATTEMPTS
target = Path(sys.argv[2])
if sys.argv[1] == "landlock":
    walls.landlock.restrict(walls._readable())
elif sys.argv[1] == "seccomp":
    walls.seccomp.confine()
print(json.dumps({name: attempt(target) for name, attempt in ATTEMPTS.items() if name in sys.argv[3:]}), flush=True)
"""


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Path]:
    """A folder with all that is worth taking, beside an abstract socket that takes connections."""
    (tmp_path / "upload").write_bytes(b"another photo")
    bucket = tmp_path / "incoming"
    bucket.mkdir()
    (bucket / "1475660224_1.jpg").write_bytes(b"a private photo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(ABSTRACT.format(os.getpid()))
        listener.listen()
        yield tmp_path


async def test_both_walls_stand_here_and_nothing_gets_through(target: Path) -> None:
    async with Pool.open(1, Limits(memory_mb=512)) as pool:
        for name in ATTEMPTS:
            job = Act(what=f"attempt:{name}:{target}", limits=pool.limits)
            answer, _ = await pool.run(act, job, Answer, None)
            assert answer.text.startswith("denied"), f"{name}: {answer.text}"
        assert pool.walls is not None
        assert pool.walls.missing() == []
    left = await asyncio.to_thread(lambda: {path.name for path in target.iterdir()})
    assert left == {"upload", "incoming"}
    assert (target / "upload").read_bytes() == b"another photo"


def _alone(wall: str, target: Path, names: set[str]) -> dict[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", _ALONE, wall, str(target), *names],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(("wall", "names"), [("landlock", _LANDLOCK), ("seccomp", _SECCOMP)])
def test_each_wall_alone_holds(wall: str, names: set[str], target: Path) -> None:
    found = _alone(wall, target, names)
    assert set(found) == names
    assert not {name: said for name, said in found.items() if not said.startswith("denied")}


def test_without_walls_these_attempts_succeed(target: Path) -> None:
    """So that the denials are the walls'."""
    names = {
        "another upload",
        "an object of a bucket",
        "the accounts of the machine",
        "the names of other uploads",
        "write",
        "open for writing",
        "change a mode",
        "change a time",
        "udp",
        "unix",
        "abstract socket",
        "pair of sockets",
        "signal a thread of its parent",
        "its parent's descriptors",
        "memory as a file",
        "shared memory beyond its limit",
        "a stack beyond its limit",
    }
    assert set(_alone("none", target, names).values()) == {"done"}


async def test_nothing_starts_where_a_wall_is_required_and_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.sandbox.walls.Walls.missing", lambda _: ["seccomp"])
    with pytest.raises(SettingsError, match=r"SANDBOX=required, .* no seccomp"):
        async with Pool.open(1, Limits(walls_required=True)):
            pass
    async with Pool.open(1, Limits()) as pool:
        await pool.start_one()
        assert pool.trouble() is None
